"""An instance without an agent tells its notice through Slurm."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from io import StringIO

from hetslurm.burst.watch import watch
from hetslurm.clock import FixedClock
from hetslurm.cloudburst.interruption import reason_at
from hetslurm.daemon.log import Log
from hetslurm.errors import ProbeError, SlurmUnavailable
from hetslurm.host.instance import ACTION
from hetslurm.host.notice import Notice
from hetslurm.sandbox import Sandbox

from .fake_imds import FakeImds

NOW = 1_800_000_000.0


class Rig:
    """What a watch looks at; `looks` come one after the other, then it is told to stop."""

    def __init__(self, *looks: Notice | Exception | None) -> None:
        self.looks = list(looks)
        self.drains: list[tuple[str, str]] = []
        self.refusals: list[Exception] = []
        self.out = StringIO()

    def drain_node(self, name: str, reason: str) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.drains.append((name, reason))

    def read(self) -> Notice | None:
        look = self.looks.pop(0)
        if isinstance(look, Exception):
            raise look
        return look

    def run(self) -> bool:
        return watch(
            "c1",
            self.read,
            self,  # type: ignore[arg-type]
            clock=FixedClock(NOW),
            log=Log(out=self.out),
            pause=lambda _: not self.looks,
        )


def test_a_notice_drains_the_node_with_the_time_in_the_reason() -> None:
    rig = Rig(Notice(), Notice(NOW + 120))
    assert rig.run()
    ((node, reason),) = rig.drains
    assert node == "c1"
    assert reason.startswith("hetslurm: interruption at ")
    assert reason_at(reason) == NOW + 120


def test_a_recommendation_alone_drains_nothing() -> None:
    rig = Rig(Notice(rebalance=True), Notice(rebalance=True))
    assert not rig.run()
    assert rig.drains == []


def test_a_service_and_a_slurm_that_do_not_answer_are_asked_again() -> None:
    rig = Rig(ProbeError("no answer"), ProbeError("no answer"), Notice(NOW), Notice(NOW))
    rig.refusals = [SlurmUnavailable("no slurmctld")]
    assert rig.run()
    assert len(rig.drains) == 1
    # The same trouble is said once.
    assert rig.out.getvalue().count("no answer") == 1
    assert "no slurmctld" in rig.out.getvalue()


def test_a_machine_of_no_cloud_has_nothing_to_watch() -> None:
    rig = Rig(None)
    assert not rig.run()
    assert "nothing to watch" in rig.out.getvalue()


def test_a_real_slurm_takes_the_notice_of_a_metadata_service(
    make_sandbox: Callable[..., Sandbox], imds: FakeImds
) -> None:
    at = 1_900_000_000
    slurm = make_sandbox(nodes="cpu=1", plugins=False, controller=False)
    words = [sys.executable, "-P", "-m", "hetslurm", "burst", "watch", "--node", "cpu1", "--once"]
    service = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.endpoint}
    assert slurm.run(words, env=service, check=False).returncode == 1
    assert "DRAIN" not in slurm.node("cpu1")["State"]
    imds.told[ACTION] = json.dumps({"action": "terminate", "time": at})
    slurm.run(words, env=service)
    node = slurm.run(["scontrol", "show", "node", "cpu1"]).stdout
    assert "DRAIN" in node
    assert reason_at(node.partition("Reason=")[2]) == at
