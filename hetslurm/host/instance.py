"""The "instance" probe: has the cloud said that it takes this machine away?

EC2 tells it through its metadata service; any other provider, and an admin, through a file that holds
`{"action": "terminate", "time": UNIX_SECONDS}`. A machine that is none of a cloud's asks nobody.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hetslurm.errors import ProbeError
from hetslurm.host.kernelfs import base_of, read_text
from hetslurm.host.notice import Notice, parse_action
from hetslurm.site import AgentSite
from hetslurm.telemetry import ProbeState, Row, Sample

if TYPE_CHECKING:
    from hetslurm.host.imds import Imds

# The SDKs' own variables.
ENDPOINT_VARIABLE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
DISABLED_VARIABLE = "AWS_EC2_METADATA_DISABLED"
FILE_VARIABLE = "HETSLURM_NOTICE_FILE"
ACTION = "meta-data/spot/instance-action"
REBALANCE = "meta-data/events/recommendations/rebalance"
_MAX_BYTES = 4096


def open_instance_probe(
    agent: AgentSite, root: Path = Path("/"), environ: Mapping[str, str] = os.environ
) -> InstanceProbe:
    """The probe "instance": one row where something can tell, ABSENT elsewhere."""
    return InstanceProbe(
        notice_file=agent.notice_file or environ.get(FILE_VARIABLE, ""),
        endpoint=_endpoint(root, environ),
        clock=time.time,
    )


def read_imds(imds: Imds, now: float) -> Notice:
    """What EC2 says. ProbeError: no answer, or one that cannot be read."""
    action = imds.get(ACTION)
    at = None if action is None else parse_action(action, ACTION, now)
    return Notice(at, imds.get(REBALANCE) is not None)


def read_file(path: str, now: float) -> Notice:
    """What the file says; no file: nothing. ProbeError: it cannot be read."""
    if not os.path.lexists(path):
        return Notice()
    text = read_text(path, _MAX_BYTES)
    if text is None:
        raise ProbeError(f"{path}: cannot be read")
    return Notice(parse_action(text, path, now))


def is_ec2(root: Path) -> bool:
    """The firmware says that this machine is an EC2 instance. Asks nobody."""
    base = base_of(root)
    said = (read_text(f"{base}/sys/class/dmi/id/{name}", 256) for name in ("sys_vendor", "bios_version"))
    if any("amazon" in (text or "").lower() for text in said):
        return True
    return (read_text(f"{base}/sys/hypervisor/uuid", 64) or "").lower().startswith("ec2")


class InstanceProbe:
    """`endpoint` "": no metadata service is there. The file's word counts before the service's."""

    name = "instance"

    def __init__(self, *, notice_file: str, endpoint: str, clock: Callable[[], float]) -> None:
        self._file = notice_file
        self._endpoint = endpoint
        self._clock = clock
        self._imds: Imds | None = None

    def sample(self) -> Sample:
        """One row. Raises ProbeError where nobody can tell, though somebody should."""
        notice = self.read()
        if notice is None:
            return Sample(self.name, ProbeState.ABSENT, message="no cloud's instance")
        return Sample(self.name, ProbeState.OK, (Row(notice.values(self._clock())),))

    def read(self) -> Notice | None:
        """What is known now; None: this is no instance of a cloud."""
        if not self._file and not self._endpoint:
            return None
        told = read_file(self._file, self._clock()) if self._file else Notice()
        if told.interrupted_at is not None or not self._endpoint:
            return told
        if self._imds is None:
            from hetslurm.host.imds import Imds  # noqa: PLC0415  only instances need HTTP

            self._imds = Imds(self._endpoint)
        return read_imds(self._imds, self._clock())

    def measure(self) -> Sample:
        """There is nothing to measure."""
        return Sample(self.name, ProbeState.OK)

    def close(self) -> None:
        """Nothing is held open."""


def _endpoint(root: Path, environ: Mapping[str, str]) -> str:
    if environ.get(DISABLED_VARIABLE, "").lower() == "true":
        return ""
    if told := environ.get(ENDPOINT_VARIABLE, ""):
        return told
    if not is_ec2(root):
        return ""
    from hetslurm.host.imds import ENDPOINT  # noqa: PLC0415  only instances need HTTP

    return ENDPOINT
