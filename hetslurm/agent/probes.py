"""Where the probes are. A probe's code is loaded in its own process only."""

from __future__ import annotations

from collections.abc import Mapping

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


OPENERS: Mapping[str, Opener] = {"host": _host, "link": _link, "mount": _mount, "gpu": _gpu, "fpga": _fpga}
