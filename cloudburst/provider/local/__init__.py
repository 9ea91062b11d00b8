"""The embedded default: an instance is a real slurmd, started on this machine, that costs pretended money.

provider.py ── starts ──▶ instance.py ── boots, watches, ends ──▶ slurmd and all that comes of it
    └── one folder an instance (folder.py): order, begin, deadline, notice, end; one writer a file
faults.py      what a cloud does to its customers, as a file that may change at any time
family.py      every process of an instance, whoever its parent is by now
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hetslurm.clock import Clock
    from hetslurm.cloudburst.policy import ProviderSite
    from hetslurm.cloudburst.provider.local.provider import LocalProvider


def open_provider(site: ProviderSite, clock: Clock) -> LocalProvider:
    """The provider of a policy. ConfigError: its settings lack `dir`, or that cannot be made."""
    # Each instance is a process that needs none of this.
    from hetslurm.cloudburst.provider.local.provider import LocalProvider  # noqa: PLC0415
    from hetslurm.cloudburst.provider.local.settings import LocalSettings  # noqa: PLC0415

    return LocalProvider(LocalSettings.of(site), clock)
