"""The GPU probe: what agents run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from hetslurm.errors import ProbeError
from hetslurm.gpu.fake import FILE, Fake
from hetslurm.gpu.launch import DEADLINES, launch
from hetslurm.gpu.nvml import Nvml
from hetslurm.gpu.reading import Devices
from hetslurm.gpu.sample import sample_of, why_busy
from hetslurm.site import AgentSite
from hetslurm.telemetry import Probe, ProbeState, Row, Sample


class GpuProbe:
    """Looks at all devices, and measures those that are idle."""

    name = "gpu"

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    def sample(self) -> Sample:
        """One row a device. ABSENT where there is none, FAILED where the driver does not speak for one."""
        try:
            return sample_of(self._devices.look())
        except ProbeError as error:
            return Sample(self.name, ProbeState.FAILED, (), str(error))

    def measure(self) -> Sample:
        """Rates of the devices that are idle now, one after the other. Takes up to a minute for each."""
        try:
            look = self._devices.look()
        except ProbeError as error:
            return Sample(self.name, ProbeState.FAILED, (), str(error))
        rows, messages = [], []
        for index, reading in enumerate(look.readings):
            trouble = why_busy(reading)
            rates = None if trouble else self._devices.measure(reading)
            values = {} if rates is None else rates.values
            rows.append(Row(values, {"id": reading.uuid} if reading.uuid else {}))
            said = trouble if rates is None else rates.message
            if said:
                messages.append((index, said))
        return Sample(self.name, look.state, tuple(rows), _together(messages, len(rows)) or look.message)

    def close(self) -> None:
        """Let go of the driver."""
        self._devices.close()


def open_probe(agent: AgentSite) -> Probe:
    """The probe over the fake devices of `<fake_dir>/gpu.json` where there is one, else over NVML."""
    fake = Path(agent.fake_dir) / FILE if agent.fake_dir else None
    if fake is not None and fake.is_file():
        return GpuProbe(Fake(fake))
    return GpuProbe(Nvml(bench=partial(launch, deadline_s=DEADLINES * agent.deadline_s)))


def _together(messages: list[tuple[int, str]], count: int) -> str:
    """What holds for all devices is said once."""
    texts = [text for _, text in messages]
    if len(texts) == count and len(set(texts)) == 1:
        return texts[0]
    return "; ".join(f"gpu {index}: {text}" for index, text in messages)
