"""The adapters keep one contract: the cluster in memory, and Slurm's own commands on a real Slurm."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import pytest

from hetslurm.clock import FixedClock
from hetslurm.cluster import Cluster, Gres, Node, Partition, QueuedJob
from hetslurm.errors import SlurmError, SlurmRefused, SlurmUnavailable
from hetslurm.estimates import estimate_waits, expected_starts
from hetslurm.inventory import derive_pools
from hetslurm.pool import WAIT_LENGTHS
from hetslurm.sandbox import Sandbox
from hetslurm.sandbox.machine import slurm_version
from hetslurm.site import Site
from hetslurm.slurm import JobUpdate, SlurmAdapter, choose_adapter, parse_record
from hetslurm.slurm.commands import CommandAdapter
from hetslurm.slurm.fake import FakeSlurm

IDLE = frozenset({"IDLE"})
SCRIPT = "#!/bin/sh\n# any bytes: \u00e9 \t\nsleep 60\n"
COMMENT = '{"hetslurm":1,"state":"held","gen":3,"het":"target=gpu:a100:1,time=3;app=x y"}'


@dataclass
class Stage:
    """An adapter, and one held job of one cpu in partition cpu."""

    adapter: SlurmAdapter
    job_id: int


def _in_memory() -> Stage:
    nodes = tuple(Node(f"cpu{i}", 16, 64_000, IDLE) for i in (1, 2))
    nodes += tuple(Node(f"gpu{i}", 16, 64_000, IDLE, gres=(Gres("gpu", "a100", 2),)) for i in (1, 2))
    partitions = (Partition("cpu", ("cpu1", "cpu2"), is_default=True), Partition("gpu", ("gpu1", "gpu2")))
    job = QueuedJob(7, "PENDING", "cpu", "root", 1, 1, 0, 5, 0, time.time(), None, None, reason="JobHeldUser")
    cluster = Cluster("c", (22, 5, 8), time.time(), nodes, partitions, (job,))
    return Stage(FakeSlurm(cluster, scripts={7: SCRIPT.encode()}), 7)


@pytest.fixture
def stage(any_adapter: SlurmAdapter | None, request: pytest.FixtureRequest) -> Iterator[Stage]:
    if any_adapter is None:
        yield _in_memory()
        return
    real: Sandbox = request.getfixturevalue("contract_sandbox")
    job_id = real.submit(
        SCRIPT, "-H", "-b", "now+1hour", "-p", "cpu", "-t", "5", "--mem=100", "-o", "/dev/null"
    )
    yield Stage(any_adapter, job_id)
    real.run(["scancel", str(job_id)], check=False)


def _job(stage: Stage) -> QueuedJob:
    return next(j for j in stage.adapter.read_cluster().jobs if j.job_id == stage.job_id)


def test_a_cluster_has_its_nodes_partitions_and_held_job(stage: Stage) -> None:
    before = time.time()
    cluster = stage.adapter.read_cluster()
    nodes = {node.name: node for node in cluster.nodes}
    assert {"cpu1", "gpu1"} <= nodes.keys()
    assert nodes["gpu1"].gres == (Gres("gpu", "a100", 2),)
    assert nodes["cpu1"].is_usable
    assert [p.name for p in cluster.partitions if p.is_default] == ["cpu"]
    assert abs(cluster.read_at - before) < 60
    job = _job(stage)
    assert (job.state, job.partition, job.user, job.priority) == ("PENDING", "cpu", "root", 0)
    assert (job.nodes, job.cpus, job.time_limit_min, job.gres) == (1, 1, 5, ())


def test_a_script_comes_back_byte_for_byte(stage: Stage) -> None:
    assert stage.adapter.batch_script(stage.job_id) == SCRIPT.encode()


def test_a_held_job_takes_every_change_in_one_request(stage: Stage) -> None:
    update = JobUpdate(
        partition="gpu",
        gres=(Gres("gpu", "a100", 2),),
        nodes=2,
        tasks=2,
        cpus_per_task=3,
        cpus_per_node=3,
        mem_mb_per_node=2000,
        time_limit_min=40,
        admin_comment=COMMENT,
    )
    stage.adapter.update_job(stage.job_id, update)
    for job in (_job(stage), stage.adapter.read_job(stage.job_id).job):
        assert (job.partition, job.gres) == ("gpu", (Gres("gpu", "a100", 2),))
        assert (job.nodes, job.cpus, job.mem_mb_per_node, job.time_limit_min) == (2, 6, 2000, 40)
        assert job.admin_comment == COMMENT
        record = parse_record(job.admin_comment)
        assert record is not None
        assert record.gen == 3
        assert job.priority == 0


def test_what_is_not_said_stays(stage: Stage) -> None:
    before = stage.adapter.read_job(stage.job_id).job
    stage.adapter.update_job(stage.job_id, JobUpdate(admin_comment="x"))
    assert stage.adapter.read_job(stage.job_id).job == replace(before, admin_comment="x")


def test_a_job_is_held_and_released(stage: Stage) -> None:
    stage.adapter.release(stage.job_id)
    assert stage.adapter.read_job(stage.job_id).job.priority > 0
    stage.adapter.hold(stage.job_id)
    held = stage.adapter.read_job(stage.job_id).job
    assert (held.priority, held.reason) == (0, "JobHeldAdmin")


def test_a_job_is_bound_to_nodes_and_unbound(stage: Stage) -> None:
    stage.adapter.update_job(stage.job_id, JobUpdate(partition="gpu", node_names=("gpu2",)))
    detail = stage.adapter.read_job(stage.job_id)
    assert (detail.job.partition, detail.required_nodes) == ("gpu", "gpu2")
    stage.adapter.update_job(stage.job_id, JobUpdate(partition="cpu", node_names=()))
    detail = stage.adapter.read_job(stage.job_id)
    assert (detail.job.partition, detail.required_nodes) == ("cpu", "")


def test_a_job_is_cancelled(stage: Stage) -> None:
    stage.adapter.signal(stage.job_id, "USR1", batch=True)  # it does not run: no error
    stage.adapter.cancel(stage.job_id)
    assert stage.adapter.read_job(stage.job_id).job.state == "CANCELLED"
    for job_id in (stage.job_id, 999_999):
        stage.adapter.cancel(job_id)
        stage.adapter.signal(job_id, "USR1")


@pytest.mark.slurm
def test_a_change_of_a_heterogeneous_job_s_first_component_leaves_the_others_as_they_are(
    contract_sandbox: Sandbox, real_adapter: SlurmAdapter
) -> None:
    common = ("-p", "cpu", "-n1", "-t", "5", "--mem=100")
    first = contract_sandbox.submit(SCRIPT, "-H", "-b", "now+1hour", "-o", "/dev/null", *common, ":", *common)
    try:
        leader, other = (real_adapter.read_job(first + n).job for n in (0, 1))
        assert (leader.het_offset, other.het_offset) == (0, 1)
        update = JobUpdate("gpu", (Gres("gpu", "a100", 1),), 1, 1, 2, 2, 200, 4, COMMENT)
        real_adapter.update_job(first, update, leads_het_job=True)
        real_adapter.release(first, leads_het_job=True)
        job = real_adapter.read_job(first).job
        assert (job.partition, job.gres, job.nodes, job.cpus) == ("gpu", (Gres("gpu", "a100", 1),), 1, 2)
        assert (job.mem_mb_per_node, job.time_limit_min, job.admin_comment) == (200, 4, COMMENT)
        assert job.priority > 0
        assert real_adapter.read_job(first + 1).job == other
    finally:
        contract_sandbox.run(["scancel", str(first)])


def test_a_job_that_is_not_there_is_refused(stage: Stage) -> None:
    adapter = stage.adapter
    for call in (
        lambda: adapter.read_job(999_999),
        lambda: adapter.batch_script(999_999),
        lambda: adapter.update_job(999_999, JobUpdate(partition="gpu")),
        lambda: adapter.hold(999_999),
        lambda: adapter.release(999_999),
        lambda: adapter.requeue(999_999),
        lambda: adapter.notify(999_999, "hello"),
    ):
        with pytest.raises(SlurmRefused, match="Invalid job id"):
            call()


def test_a_partition_that_is_not_there_is_refused_in_slurm_s_words(stage: Stage) -> None:
    with pytest.raises(SlurmRefused, match="nvalid partition"):
        stage.adapter.update_job(stage.job_id, JobUpdate(partition="nowhere"))


def test_a_daemon_that_is_away_is_unavailable_not_a_refusal() -> None:
    fake = _in_memory().adapter
    assert isinstance(fake, FakeSlurm)
    fake.is_down = True
    with pytest.raises(SlurmUnavailable):
        fake.read_cluster()


@pytest.mark.slurm
def test_slurmctld_away_is_unavailable_in_every_call(contract_sandbox: Sandbox, tmp_path: Path) -> None:
    with socket.socket() as nobody:  # bound, not listening: a port where no slurmctld answers
        nobody.bind(("127.0.0.1", 0))
        conf = re.sub(
            r"(?m)^SlurmctldPort=.*", f"SlurmctldPort={nobody.getsockname()[1]}", _conf(contract_sandbox)
        )
        (tmp_path / "slurm.conf").write_text(f"{conf}\nMessageTimeout=2\n")
        adapter = CommandAdapter(slurm_conf=str(tmp_path / "slurm.conf"), deadline_s=20)
        for call in (
            adapter.read_cluster,
            lambda: adapter.read_job(1),
            lambda: adapter.update_job(1, JobUpdate(partition="cpu")),
            lambda: adapter.release(1),
        ):
            with pytest.raises(SlurmUnavailable):
                call()


def _conf(sandbox: Sandbox) -> str:
    return sandbox.layout.slurm_conf.read_text()


@pytest.mark.slurm
def test_a_name_with_newlines_and_a_comment_longer_than_its_column_are_read_whole(
    contract_sandbox: Sandbox, real_adapter: SlurmAdapter
) -> None:
    comment = "{" + "x" * 30_000 + "} \u00e9"
    name = "line\nAdminComment=forged Partition=gpu | x"
    job_id = contract_sandbox.submit(
        SCRIPT, "-H", "-J", name, "--mem=100", "--array=1-30:3%2", "-o", "/dev/null"
    )
    try:
        real_adapter.update_job(job_id, JobUpdate(admin_comment=comment))
        job = next(j for j in real_adapter.read_cluster().jobs if j.job_id == job_id)
        assert (job.name, job.admin_comment, job.tasks) == (name, comment, 2)
        assert real_adapter.read_job(job_id).job == job
    finally:
        contract_sandbox.run(["scancel", str(job_id)])


@pytest.mark.slurm
def test_associations_come_with_users_and_their_default(accounting_slurm: Sandbox) -> None:
    for words in (["add", "account", "lab"], ["add", "user", "nobody", "account=lab"]):
        accounting_slurm.run(["sacctmgr", "-i", *words], check=False)
    clock = FixedClock()
    adapter = CommandAdapter(slurm_conf=str(accounting_slurm.layout.slurm_conf), clock=clock)
    cluster = adapter.read_cluster()
    mine = [a for a in cluster.associations if a.user == "nobody" and a.account == "lab"]
    assert [a.is_default for a in mine] == [True]
    assert cluster.uids["nobody"] == 65534


@pytest.mark.slurm
def test_a_job_too_long_to_end_before_maintenance_is_estimated_to_start_after_it_as_slurm_says(
    contract_sandbox: Sandbox, real_adapter: SlurmAdapter
) -> None:
    common = ("-p", "gpu", "-N2", "--gres=gpu:a100:2", "--mem=100", "-o", "/dev/null")
    keep = ("StartTime=now+600", "Duration=20", "Nodes=gpu1,gpu2", "Flags=MAINT,IGNORE_JOBS", "Users=root")
    contract_sandbox.run(["scontrol", "create", "reservation", "ReservationName=keep", *keep])
    long = contract_sandbox.submit(SCRIPT, "-t", "30", *common)
    short = 0
    try:
        (reservation,) = real_adapter.read_cluster().reservations
        assert reservation.node_names == ("gpu1", "gpu2")
        assert {"MAINT", "IGNORE_JOBS"} <= reservation.flags
        assert reservation.end_at - reservation.start_at == 1200.0
        cluster = _until(real_adapter, lambda jobs: jobs[long].start_at is not None)
        starts = expected_starts(derive_pools(cluster, Site()), cluster)
        assert cluster.read_at + starts[long] == pytest.approx(reservation.end_at, abs=1.0)
        told = next(job.start_at for job in cluster.jobs if job.job_id == long)
        assert told == pytest.approx(reservation.end_at, abs=5.0)
        # What the queue says of a pending job's start is what `squeue --start` says.
        start = ["squeue", "--start", "-h", "-j", str(long), "-o", "%S"]
        said = contract_sandbox.run(start, env={"SLURM_TIME_FORMAT": "%s"}).stdout.strip()
        assert float(said) == pytest.approx(told, abs=5.0)
        # A limit that ends before it starts at once, here and there.
        short = contract_sandbox.submit(SCRIPT, "-t", "5", *common)
        lengths_s = [5 * 60.0] * WAIT_LENGTHS
        waits = estimate_waits(derive_pools(cluster, Site()), cluster, lengths_s=lengths_s)
        pools = {pool.name: pool for pool in waits}
        assert pools["gpu"].wait_s[-1] == 0.0
        _until(real_adapter, lambda jobs: jobs[short].state == "RUNNING")
    finally:
        contract_sandbox.run(["scancel", *(str(job) for job in (long, short) if job)], check=False)
        contract_sandbox.run(["scontrol", "delete", "reservation", "keep"], check=False)


def _until(adapter: SlurmAdapter, test: Callable[[dict[int, QueuedJob]], bool]) -> Cluster:
    """The cluster as soon as its jobs are so; what never happens fails after a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        cluster = adapter.read_cluster()
        if test({job.job_id: job for job in cluster.jobs}):
            return cluster
        time.sleep(0.2)
    raise AssertionError("it did not happen within a minute")


def test_a_command_that_hangs_is_unavailable_when_its_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("scontrol", "squeue"):
        (tmp_path / name).write_text("#!/bin/sh\nexec sleep 30\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    start = time.monotonic()
    with pytest.raises(SlurmUnavailable):
        CommandAdapter(deadline_s=0.3).read_cluster()
    assert time.monotonic() - start < 5


def test_a_stale_errno_of_slurmctld_is_tried_again_and_a_real_refusal_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    (tmp_path / "scontrol").write_text(
        f"#!/bin/sh\necho x >> {calls}\n[ $(wc -l < {calls}) -ge 3 ] && exit 0\n"
        "echo 'Resource temporarily unavailable for job 1' >&2\nexit 1\n"
    )
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    CommandAdapter().update_job(1, JobUpdate(partition="cpu"))
    assert calls.read_text().count("x") == 3
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\necho x >> {calls}\necho 'Access denied' >&2\nexit 1\n")
    with pytest.raises(SlurmRefused, match="Access denied"):
        CommandAdapter().update_job(1, JobUpdate(partition="cpu"))
    assert calls.read_text().count("x") == 4


@pytest.mark.slurm
def test_what_any_adapter_reads_is_what_the_commands_read(
    contract_sandbox: Sandbox, real_adapter: SlurmAdapter
) -> None:
    lines = (
        ("-p", "gpu", "--gpus=1"),
        ("-p", "fpga", "--gres=fpga:u250:1"),
        ("-p", "cpu", "-H", "--array=1-30:3%2"),
        ("-p", "cpu", "-H", "-n1", ":", "-p", "gpu", "-H", "-n2"),
    )
    jobs = [contract_sandbox.submit(SCRIPT, "-o", "/dev/null", *line) for line in lines]
    contract_sandbox.run(["scontrol", "update", "nodename=cpu2", "state=drain", "reason=bad disk | x"])
    commands = CommandAdapter(slurm_conf=str(contract_sandbox.layout.slurm_conf))
    try:
        for job_id in jobs[:2]:
            contract_sandbox.wait_job(job_id, {"RUNNING"})
        ours, theirs = real_adapter.read_cluster(), commands.read_cluster()
        free = [(node.free_units("gpu", "a100"), node.free_units("fpga", "u250")) for node in ours.nodes]
        assert sorted(free) == [(0, 0), (0, 0), (0, 0), (1, 0), (2, 0)]
        assert ours.nodes == theirs.nodes
        assert ours.jobs == theirs.jobs
        assert ours == replace(theirs, read_at=ours.read_at)
    finally:
        contract_sandbox.run(["scancel", *map(str, jobs)], check=False)
        contract_sandbox.run(["scontrol", "update", "nodename=cpu2", "state=resume"])


def test_adapters_are_chosen_by_name_and_pyslurm_only_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: str) -> str:
        raise metadata.PackageNotFoundError("pyslurm")

    monkeypatch.setattr("importlib.metadata.version", none)
    assert type(choose_adapter("commands")) is CommandAdapter
    assert type(choose_adapter("auto")) is CommandAdapter
    with pytest.raises(SlurmError, match=r"pyslurm is not installed; see docs/pyslurm\.md"):
        choose_adapter("pyslurm")
    monkeypatch.setattr("importlib.metadata.version", lambda _: "21.08.0")
    monkeypatch.setattr(CommandAdapter, "installed_version", lambda _: (22, 5, 8))
    assert type(choose_adapter("auto")) is CommandAdapter
    with pytest.raises(SlurmError, match=r"pyslurm 21.08.0 does not fit"):
        choose_adapter("pyslurm")
    with pytest.raises(SlurmError, match="auto, commands or pyslurm"):
        choose_adapter("rest")


def test_how_priorities_are_made_is_told_and_without_factors_there_are_none(stage: Stage) -> None:
    rules = stage.adapter.read_priority()
    if rules.has_factors:
        stage.adapter.update_job(stage.job_id, JobUpdate(site_factor=70))
        assert stage.job_id not in stage.adapter.read_site_factors()  # it is held
        stage.adapter.release(stage.job_id)
        # It may not begin yet: sprio of 22.05 lists it all the same, that of 24.11 does not.
        assert stage.adapter.read_site_factors().get(stage.job_id, 70) == 70
        assert (slurm_version() >= (24, 11)) or stage.job_id in stage.adapter.read_site_factors()
    else:
        with pytest.raises(SlurmRefused, match="priority plugin"):
            stage.adapter.read_site_factors()
