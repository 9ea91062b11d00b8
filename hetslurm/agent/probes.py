"""Where the probes are. Their code is loaded in the nursery and its children only.

What a child imports it has to itself; what is loaded before the fork, all share.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module

from hetslurm.agent.child import Opener
from hetslurm.site import AgentSite
from hetslurm.telemetry import SCHEMAS, Meaning, Probe

# Those that have something to measure.
MEASURED = frozenset(
    probe for probe, metrics in SCHEMAS.items() if any(metric.meaning is Meaning.RATE for metric in metrics)
)
# Beats from one run to the next, where it is not every one: other people's file servers answer for mounts.
EVERY_BEATS = {"mount": 2}


def _host(agent: AgentSite) -> Probe:
    from hetslurm.host import open_host_probe  # noqa: PLC0415

    return open_host_probe(agent)


def _link(agent: AgentSite) -> Probe:
    from hetslurm.host import open_link_probe  # noqa: PLC0415

    return open_link_probe(agent)


def _mount(agent: AgentSite) -> Probe:
    from hetslurm.host import open_mount_probe  # noqa: PLC0415

    return open_mount_probe(agent)


def _gpu(agent: AgentSite) -> Probe:
    from hetslurm.gpu.probe import open_probe  # noqa: PLC0415

    return open_probe(agent)


def _fpga(agent: AgentSite) -> Probe:
    from hetslurm.fpga.probe import open_probe  # noqa: PLC0415

    return open_probe(agent)


def _instance(agent: AgentSite) -> Probe:
    from hetslurm.host import open_instance_probe  # noqa: PLC0415

    return open_instance_probe(agent)


def preload() -> None:
    """Import the code of all probes; one that cannot be imported says so when it is opened."""
    for module in ("hetslurm.host", "hetslurm.gpu.probe", "hetslurm.fpga.probe"):
        with suppress(Exception):
            import_module(module)


OPENERS: Mapping[str, Opener] = {
    "host": _host,
    "link": _link,
    "mount": _mount,
    "gpu": _gpu,
    "fpga": _fpga,
    "instance": _instance,
}
