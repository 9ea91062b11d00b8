"""Probes of the node itself: memory, disks, links, mounts, the kernel log, its speed."""

from __future__ import annotations

from pathlib import Path

from hetslurm.host.instance import open_instance_probe
from hetslurm.host.links import LinkProbe
from hetslurm.host.mounts import MountProbe
from hetslurm.host.node import HostProbe
from hetslurm.site import AgentSite
from hetslurm.telemetry import Probe

__all__ = ["open_host_probe", "open_instance_probe", "open_link_probe", "open_mount_probe"]

ROOT = Path("/")


def open_host_probe(agent: AgentSite, root: Path = ROOT) -> Probe:
    """The probe "host": one row. It follows the kernel log from now on, so it should live long."""
    return HostProbe(agent, root)


def open_link_probe(agent: AgentSite, root: Path = ROOT) -> Probe:
    """The probe "link": a row for each link."""
    return LinkProbe(agent, root)


def open_mount_probe(agent: AgentSite, root: Path = ROOT) -> Probe:
    """The probe "mount": a row for each configured mount. It must live on for hung mounts not to pile up."""
    return MountProbe(agent, root)
