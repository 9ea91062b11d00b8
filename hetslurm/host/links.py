"""The "link" probe: a row for each network link."""

from __future__ import annotations

import os
from pathlib import Path

from hetslurm.host.infiniband import Port, infiniband_ports
from hetslurm.host.interfaces import Interface, physical_interfaces
from hetslurm.host.kernelfs import base_of
from hetslurm.site import AgentSite
from hetslurm.telemetry import UNKNOWN, ProbeState, Row, Sample


class LinkProbe:
    """Looks at the links that the admin named, or, where none is, at all that have been up since boot."""

    name = "link"

    def __init__(self, agent: AgentSite, root: Path) -> None:
        self._base = base_of(root)
        self._expected = dict(agent.links)
        self._links: dict[str, Interface | Port] = {}
        self._drivers: dict[str, str] = {}

    def sample(self) -> Sample:
        """One row a link, in the order of their names. A named link that does not exist is down."""
        names = sorted(self._expected or self._found())
        if not names:
            return Sample(self.name, ProbeState.ABSENT, message="no physical network link has been up")
        return Sample(self.name, ProbeState.OK, tuple(self._row(name) for name in names))

    def measure(self) -> Sample:
        """Nothing of a link is measured by work: that would need a peer."""
        return Sample(self.name, ProbeState.OK)

    def close(self) -> None:
        """Nothing is held."""

    def _found(self) -> list[str]:
        return [*physical_interfaces(self._base), *infiniband_ports(self._base)]

    def _row(self, name: str) -> Row:
        link = self._links.get(name)
        if link is None:
            link = self._links[name] = self._open(name)
        # 0 asks only that the link is up: then there is no speed to expect.
        values = {"expected_mbps": self._expected.get(name, 0.0) or UNKNOWN}
        facts = {"id": name}
        if link.exists:
            values |= link.read()
            if name not in self._drivers:
                self._drivers[name] = link.driver()
        else:
            values["up"] = 0.0
        if driver := self._drivers.get(name):
            facts["driver"] = driver
        return Row(values, facts)

    def _open(self, name: str) -> Interface | Port:
        # Names of interfaces may hold a colon, too: what the kernel has decides.
        if ":" in name and not os.path.isdir(f"{self._base}/sys/class/net/{name}"):
            return Port(self._base, name)
        return Interface(self._base, name)
