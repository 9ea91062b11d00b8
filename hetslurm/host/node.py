"""The "host" probe: one row for the node itself."""

from __future__ import annotations

from pathlib import Path

from hetslurm.host.clock import ReadClock, read_clock, read_kernel_clock
from hetslurm.host.disks import Disks
from hetslurm.host.edac import read_edac
from hetslurm.host.identity import read_identity
from hetslurm.host.kernel_log import KernelLog
from hetslurm.host.kernelfs import base_of
from hetslurm.host.memory import read_memory
from hetslurm.host.pressure import read_pressure
from hetslurm.host.processors import read_processors
from hetslurm.host.speed import SpeedPlan, measure_speed
from hetslurm.host.throttle import CoreThrottle
from hetslurm.site import AgentSite
from hetslurm.telemetry import ProbeState, Row, Sample


class HostProbe:
    """Reads some twenty small files a sample."""

    name = "host"

    def __init__(
        self,
        agent: AgentSite,
        root: Path,
        *,
        read_clock: ReadClock = read_kernel_clock,
        speed: SpeedPlan | None = None,
    ) -> None:
        self._base = base_of(root)
        self._read_clock = read_clock
        self._speed = speed
        self._disks = Disks(self._base)
        self._throttle = CoreThrottle(self._base)
        # The log is named by the admin, in full; it is no file below the root of a test.
        self._log = KernelLog(agent.kernel_log)
        self._identity: dict[str, str] | None = None

    def sample(self) -> Sample:
        """What is unknown is left out of the row; FAILED where nothing is known at all."""
        if self._identity is None:
            self._identity = read_identity(self._base)
        values = read_processors(self._base)
        values |= read_memory(self._base)
        values |= read_pressure(self._base)
        disk_values, disk_facts = self._disks.read()
        log_values, log_facts = self._log.read()
        values |= disk_values | log_values
        if not values:
            return Sample(self.name, ProbeState.FAILED, message="nothing below /proc can be read")
        values |= read_clock(self._read_clock)
        values |= read_edac(self._base)
        values |= self._throttle.read()
        return Sample(self.name, ProbeState.OK, (Row(values, self._identity | disk_facts | log_facts),))

    def measure(self) -> Sample:
        """mem_gbs and dgemm_gflops, in a few seconds of all cpus; an empty row where the node is not idle."""
        values, message = measure_speed(self._base, self._speed)
        # Busy is no fault, and what broke on the way says so.
        state = ProbeState.OK if values or message.startswith("not idle") else ProbeState.FAILED
        return Sample(self.name, state, (Row(values),), message)

    def close(self) -> None:
        """Let go of the log and the counters."""
        self._log.close()
        self._throttle.close()
