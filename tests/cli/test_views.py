"""`pools` and `explain` show what the plugin scores against, as tables and as JSON."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hetslurm.cli.app import build, main
from hetslurm.cli.explain_table import render
from hetslurm.cli.pools import wait_lines
from hetslurm.clock import FixedClock
from hetslurm.cluster import Cluster, Gres, Node, Partition, QueuedJob
from hetslurm.config import SiteFile
from hetslurm.controller.loop import Controller
from hetslurm.controller.waits import WaitFacts, wait_status
from hetslurm.daemon.log import Log
from hetslurm.daemon.notify import Notifier
from hetslurm.daemon.stop import Stop
from hetslurm.errors import ConfigError, HetslurmError, SlurmRefused
from hetslurm.estimates.calibration import Waited, wait_error
from hetslurm.placement import TERM_NAMES
from hetslurm.slurm.fake import FakeSlurm

runner = CliRunner()
SCRIPT = """#!/bin/bash
#SBATCH --account=lab
#HET app=align objective=cost
#HET target=gpu:a100:1 cpus=8 mem=8G time=10:00
#HET target=cpu cpus=16 time=1:00:00
"""
RECORD = {
    "hetslurm": 1,
    "state": "placed",
    "gen": 1,
    "target": "gpu:a100:1",
    "kind": "gpu",
    "type": "a100",
    "alt": 0,
    "pool": "gpu",
    "partition": "gpu",
    "score": 1.0,
    "wait_s": 0,
    "run_s": 600,
    "money": 0.5,
    "pins": "",
    "het": "target=gpu:a100:1,time=10:00;target=cpu,cpus=16,time=1:00:00",
}


def cluster(*jobs: QueuedJob) -> Cluster:
    idle = frozenset({"IDLE"})
    cpus = [Node(f"cpu{i}", 16, 65536, idle) for i in (1, 2)]
    gpus = [Node("gpu1", 16, 65536, idle, gres=(Gres("gpu", "a100", 1),))]
    down = [Node("gpu2", 16, 65536, frozenset({"DOWN"}), gres=(Gres("gpu", "a100", 1),))]
    parts = (
        Partition("cpu", ("cpu1", "cpu2"), is_default=True),
        Partition("gpu", ("gpu1", "gpu2"), max_time_min=30, root_only=True),
    )
    return Cluster("test", (22, 5, 8), time.time(), (*cpus, *gpus, *down), parts, jobs)


def job_with_record() -> QueuedJob:
    job = QueuedJob(17, "RUNNING", "gpu", "root", 1, 8, 0, 10, 5, 1e9, None, None)
    return replace(job, admin_comment=json.dumps(RECORD, separators=(",", ":")))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A configuration whose snapshot one cycle has written."""
    config = tmp_path / "hetslurm.toml"
    config.write_text(
        f"""
        currency = "CHF"
        [controller]
        state_dir = "{tmp_path}/state"
        [snapshot]
        path = "{tmp_path}/snapshot"
        [[pool]]
        kind = "gpu"
        price_per_hour = {{device = 3, cpu = 0.02}}
        watts = {{device = 400}}
        [[pool]]
        kind = "cpu"
        price_per_hour = {{cpu = 0.04}}
        """
    )
    stop = Stop()
    Controller(
        SiteFile(config),
        FakeSlurm(cluster(job_with_record())),
        log=Log("json", io.StringIO()),
        clock=FixedClock(time.time()),
        stop=stop,
        notifier=Notifier({}),
    ).run(once=True)
    stop.close()
    return config


def run(command: str, *words: str) -> tuple[int, str]:
    result = runner.invoke(build(command), [command, *words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_pools_prints_every_pool_with_what_is_known_of_it(site: Path) -> None:
    code, output = run("pools", "--config", str(site), "--json")
    assert code == 0
    report = json.loads(output)
    assert report["snapshot"]["generation"] == 1
    assert report["snapshot"]["stale"] is False
    assert report["controller"]["pools"] == 2
    assert report["plugin"] is None
    gpu = next(pool for pool in report["pools"] if pool["kind"] == "gpu")
    assert (gpu["pool"], gpu["partition"], gpu["type"]) == ("gpu", "gpu", "a100")
    assert (gpu["nodes_up"], gpu["nodes"], gpu["units"], gpu["units_free"]) == (1, 2, 1.0, 1.0)
    assert gpu["price_per_hour"] == {"cpu": 0.02, "device": 3.0, "node": 0.0}
    assert (gpu["price_source"], gpu["watts"]["device"], gpu["health"]) == ("declared", 400.0, 1.0)
    assert set(gpu["wait_s"]) == {"small", "half", "full"}


def test_pools_prints_a_table_for_people(site: Path) -> None:
    code, output = run("pools", "--config", str(site))
    assert code == 0
    assert "snapshot: generation 1" in output
    assert "gpu:a100" in output
    assert "3/device + 0.02/cpu" in output
    assert "prices in CHF per hour" in output


def test_pools_without_a_snapshot_says_so_and_fails(tmp_path: Path) -> None:
    config = tmp_path / "hetslurm.toml"
    config.write_text(f'[snapshot]\npath = "{tmp_path}/none"\n[controller]\nstate_dir = "{tmp_path}"')
    code, output = run("pools", "--config", str(config))
    assert code == 1
    assert "No such file" in output


def test_explain_scores_a_script_without_submitting_it(site: Path, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(SCRIPT)
    code, output = run("explain", str(script), "--config", str(site), "--json", "--user", "0")
    report = json.loads(output)
    assert code == 0
    assert (report["app"], report["objective"], report["job_id"]) == ("align", "cost", None)
    assert report["chosen"]["target"] in {"gpu:a100:1", "cpu"}
    assert set(report["candidates"][0]) == {
        "target",
        "pool",
        "partition",
        "feasible",
        "reason",
        "score",
        "terms",
    }
    terms = next(c["terms"] for c in report["candidates"] if c["feasible"])
    nobodys = {"n": 0, "log_sd": None, "class": None}
    assert terms["run_s"] == {"value": terms["run_s"]["value"], "source": "declared", **nobodys}


def test_the_table_says_how_many_runs_are_behind_a_run_time(capsys: pytest.CaptureFixture[str]) -> None:
    number = {"value": 60.0, "source": "measured"}
    terms: dict[str, Any] = dict.fromkeys(TERM_NAMES, number)
    pair = {"target": "cpu", "pool": "p", "score": 1.0, "reason": None}
    known = {**pair, "terms": {**terms, "run_s": {**number, "n": 12, "log_sd": 0.2, "class": "app"}}}
    noted_before = {**pair, "terms": terms}
    render(
        {
            "job_id": 1,
            "chosen": None,
            "objective": None,
            "generation": 1,
            "candidates": [known, noted_before],
        }
    )
    output = capsys.readouterr().out
    assert output.count("12 app") == 1
    assert "runs: how many the run time rests on" in output


def test_explain_respects_what_the_options_pin(site: Path, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(SCRIPT)
    words = ("--config", str(site), "--json", "--user", "0", "-p", "cpu")
    _, output = run("explain", str(script), *words)
    report = json.loads(output)
    assert report["chosen"]["partition"] == "cpu"
    gpu = next(c for c in report["candidates"] if c["pool"] == "gpu" and c["target"] == "gpu:a100:1")
    assert gpu["reason"] == "the author named another partition"


def test_explain_fails_when_nothing_can_run_it(site: Path, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("#HET target=gpu:a100:1 time=10:00\n")
    code, output = run("explain", str(script), "--config", str(site), "--user", "12345")
    assert code == 1
    assert "nothing here can run it: the partition is for root" in output


def test_explain_takes_the_request_from_the_option_alone(site: Path, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\necho\n")
    code, output = run("explain", str(script), "--het", "target=cpu,cpus=4", "--config", str(site), "--json")
    assert code == 0
    assert json.loads(output)["chosen"]["partition"] == "cpu"


def test_explain_shows_what_was_recorded_for_a_job(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = FakeSlurm(cluster(job_with_record()))
    monkeypatch.setattr("hetslurm.cli.explain_job.choose_adapter", lambda name: slurm)
    code, output = run("explain", "17", "--config", str(site), "--json")
    report = json.loads(output)
    assert code == 0
    assert report["job_id"] == 17
    assert report["chosen"] == {"target": "gpu:a100:1", "pool": "gpu", "partition": "gpu", "score": 1.0}
    assert (report["decided_by"], report["recomputed_from_generation"]) == ("plugin", 1)
    assert report["recorded"]["state"] == "placed"
    noted = next(c["terms"] for c in report["candidates"] if c["terms"])
    assert (noted["run_s"]["n"], noted["run_s"]["class"]) == (0, None)
    _, text = run("explain", "17", "--config", str(site))
    assert "job 17: gpu:a100:1 on gpu (partition gpu)" in text
    assert "recomputed from generation 1" in text
    assert "CHF" in text


def test_explain_takes_a_component_s_id_as_squeue_prints_it(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm = FakeSlurm(cluster(replace(job_with_record(), het_offset=1)))
    monkeypatch.setattr("hetslurm.cli.explain_job.choose_adapter", lambda name: slurm)
    code, output = run("explain", "16+1", "--config", str(site), "--json")
    assert (code, json.loads(output)["job_id"]) == (0, 17)
    for wrong in ("17+0", "15+2", "16+5"):
        with pytest.raises(HetslurmError, match="no such component"):
            run("explain", wrong, "--config", str(site))


def test_explain_of_a_heterogeneous_script_is_of_its_first_component(site: Path, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(
        "#!/bin/bash\n#HET target=cpu cpus=4 time=5\n#SBATCH hetjob\n#SBATCH --het=target=gpu -p gpu\n"
    )
    code, output = run("explain", str(script), "--config", str(site), "--json")
    report = json.loads(output)
    assert (code, report["chosen"]["partition"]) == (0, "cpu")
    assert report["note"] == "this is the first of 2 components; each is placed on its own"


def test_an_unknown_job_is_named_and_a_stored_decision_outlives_it(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm = FakeSlurm(cluster())
    monkeypatch.setattr("hetslurm.cli.explain_job.choose_adapter", lambda name: slurm)
    with pytest.raises(SlurmRefused, match=r"job 18: .*Invalid job id.*nor is a decision on it stored in"):
        runner.invoke(build(), ["explain", "18", "--config", str(site)], catch_exceptions=False)
    code, text = run("explain", "17", "--config", str(site))
    assert code == 0
    assert "only the stored decision is left" in text


@pytest.mark.parametrize("word", ["9" * 20, "²", "17_job.sh", "17_"])
def test_what_is_no_job_id_is_looked_for_as_a_script(site: Path, word: str) -> None:
    with pytest.raises(HetslurmError, match="expected a job script or a job id"):
        runner.invoke(build(), ["explain", word, "--config", str(site)], catch_exceptions=False)


def test_a_mistake_in_a_script_names_the_script(site: Path, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("#HET target=gpu cpsu=1\n")
    with pytest.raises(HetslurmError, match=r"job.sh: line 1: 'cpsu'"):
        runner.invoke(build(), ["explain", str(script), "--config", str(site)], catch_exceptions=False)


def test_what_the_system_refuses_is_one_line_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "lock"))

    monkeypatch.setattr("hetslurm.sandbox.sandbox.stop", refuse)
    monkeypatch.setattr("sys.argv", ["hetslurm", "sandbox", "down", "--dir", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"hetslurm: {tmp_path}/lock: Permission denied\n"


def test_a_mistake_is_one_line_on_stderr_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["hetslurm", "pools", "--config", str(tmp_path / "no.toml")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"hetslurm: {tmp_path}/no.toml: cannot be read: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[[pool]]\nspeed = 0\n", r"prices.toml:2: pool\[1\].speed"),
        ("[controller]\ncycle_s = 1\n", r"prices.toml: \[controller\] is the sandbox's own"),
        ("[snapshot]\nmax_age_s = 9\n", r"prices.toml: \[snapshot\] is the sandbox's own"),
    ],
)
def test_a_sandbox_s_tables_are_checked_before_it_starts(tmp_path: Path, toml: str, words: str) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text(toml)
    directory = tmp_path / "lab"
    with pytest.raises(ConfigError, match=words):
        runner.invoke(
            build(),
            ["sandbox", "up", "--dir", str(directory), "--config", str(prices)],
            catch_exceptions=False,
        )
    assert not directory.exists()


def test_every_command_has_its_place() -> None:
    output = runner.invoke(build(), ["--help"]).output
    for command in ("sandbox", "demo", "pools", "explain", "check", "controller"):
        assert command in output


def test_pools_says_how_far_estimated_waits_came_true_beside_slurm_s_own() -> None:
    waits = [Waited("gpu", 0.0, 100.0, 100.0, 200.0, slurm_s=800.0), Waited("gpu", 0.0, 50.0, 50.0, 50.0)]
    facts = WaitFacts(wait_error(waits), {"gpu": wait_error(waits)}, {"gpu": 1.0})
    (line,) = wait_lines({"waits": wait_status(facts)})
    assert line == (
        "waits: off by a factor of 1.41 in the median of the last 2, 100% within 2; "
        "of the 1 that Slurm foresaw too: 2.00, squeue --start 4.00"
    )
    assert wait_lines({"waits": wait_status(WaitFacts())}) == []
    assert wait_lines(None) == []
