"""The providers of a policy, each made when it is asked for: nobody loads boto3 for a local instance."""

from __future__ import annotations

from importlib import import_module

from hetslurm.clock import Clock
from hetslurm.cloudburst.policy import Policy, ProviderSite
from hetslurm.cloudburst.provider.protocol import Provider
from hetslurm.errors import ConfigError

# By kind: the module with `open_provider(site, clock) -> Provider`.
MODULES = {
    "local": "hetslurm.cloudburst.provider.local",
    "exec": "hetslurm.cloudburst.provider.exec",
    "ec2": "hetslurm.cloudburst.provider.ec2",
}


def open_provider(site: ProviderSite, clock: Clock) -> Provider:
    """One provider. ConfigError: what its settings lack."""
    module = MODULES.get(site.kind)
    if module is None:
        raise ConfigError(f"[provider.{site.name}]: there is no kind {site.kind}")
    provider: Provider = import_module(module).open_provider(site, clock)
    return provider


def open_providers(policy: Policy, clock: Clock) -> dict[str, Provider]:
    """All that the policy names, by name. ConfigError: none is left open."""
    opened: dict[str, Provider] = {}
    try:
        for site in policy.providers:
            opened[site.name] = open_provider(site, clock)
    except BaseException:
        for provider in opened.values():
            provider.close()
        raise
    return opened
