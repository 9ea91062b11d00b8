"""Thousands of submissions while everything around the plugin breaks: none is lost, slurmctld stands."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hetslurm.slurm.stats import read_stats

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

CLIENTS = 16
SUBMISSIONS = 3000
# The storm lasts until both are done: on a slow machine a controller needs longer to come back than 3,000
# submissions take.
ROUNDS = 3
CALM_S = 120.0
BREATH_S = 0.2
PLAIN = "#!/bin/sh\ntrue\n"
GOOD = """#!/bin/sh
#HET app=storm work=1e6
#HET target=gpu:a100:1 cpus=1 time=5:00
#HET target=cpu cpus=1 time=9:00
true
"""
MISTAKE = "#!/bin/sh\n#HET target=cpu cpus=none time=9:00\ntrue\n"
OPTION = "--het=target=fpga:u250:1,time=2:00;target=cpu,cpus=1,time=9:00;objective=cost"
# What each client sends, over and over: (kind, script, more options).
MIXTURE = [
    ("script", GOOD, ()),
    ("script", GOOD, ()),
    ("option", PLAIN, (OPTION,)),
    ("plain", PLAIN, ()),
    ("script", GOOD, ("-p", "cpu")),
    ("mistake", MISTAKE, ()),
    ("option", PLAIN, (OPTION,)),
    ("script", GOOD, ()),
    ("plain", PLAIN, ()),
    ("option-mistake", PLAIN, ("--het=target=cpu,time=never",)),
]


def truncate(path: Path, _rng: random.Random) -> None:
    os.truncate(path, 0)


def scribble(path: Path, rng: random.Random, first: int, last: int) -> None:
    with path.open("r+b", buffering=0) as file:
        for _ in range(64):
            file.seek(rng.randrange(first, last))
            file.write(rng.randbytes(16))


def scribble_header(path: Path, rng: random.Random) -> None:
    scribble(path, rng, 0, 64)


def scribble_tables(path: Path, rng: random.Random) -> None:
    scribble(path, rng, 64, 8192)


def to_directory(path: Path, _rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def to_fifo(path: Path, _rng: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def remove(path: Path, _rng: random.Random) -> None:
    path.unlink()


def writable_by_all(path: Path, _rng: random.Random) -> None:
    path.chmod(0o666)


def short(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(1, 4096))


def garbage(path: Path, rng: random.Random) -> None:
    fresh = path.with_name("garbage")
    fresh.write_bytes(rng.randbytes(65536))
    fresh.replace(path)


CORRUPTIONS = [
    truncate,
    scribble_header,
    scribble_tables,
    to_directory,
    to_fifo,
    remove,
    writable_by_all,
    short,
    garbage,
]


def clear(path: Path) -> None:
    """Take away whatever a corruption left that is no file."""
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists() and not path.is_file():
        path.unlink()


class Weather:
    """Breaks the snapshot and the controller, in a loop, in a thread of its own."""

    def __init__(self, sandbox, seed: int) -> None:
        self._sandbox, self._path, self._rng = sandbox, sandbox.snapshot_path, random.Random(seed)
        self._old = self._path.read_bytes()
        self._over = threading.Event()
        self.done: Counter[str] = Counter()
        self.rounds = 0
        self.failure: BaseException | None = None

    def _old_generation(self, path: Path, _rng: random.Random) -> None:
        fresh = path.with_name("old")
        fresh.write_bytes(self._old)
        fresh.replace(path)

    def _strike(self, corrupt: Callable[[Path, random.Random], None]) -> None:
        try:
            clear(self._path)
            corrupt(self._path, self._rng)
        except FileNotFoundError:
            return  # the controller, or the strike before, was quicker
        self.done[getattr(corrupt, "__name__", "")] += 1

    def _blow(self) -> None:
        strikes = [*CORRUPTIONS, self._old_generation]
        while not self._over.is_set():
            self._sandbox.kill_controller()  # in the middle of whatever it does
            self.done["kill"] += 1
            self._rng.shuffle(strikes)
            for corrupt in strikes[:6]:
                self._strike(corrupt)
                self._over.wait(self._rng.uniform(0.01, 0.15))
            clear(self._path)
            before = self._placed()
            self._sandbox.start_controller()
            self._await_placement(before)
            for corrupt in strikes[6:]:
                self._over.wait(self._rng.uniform(0.05, 0.25))
                self._strike(corrupt)
            self._over.wait(self._rng.uniform(0.3, 0.8))
            self.rounds += 1

    def _placed(self) -> int:
        return read_stats(self._sandbox.stats_path).counters["placed"]

    def _await_placement(self, before: int) -> None:
        """Until the plugin has scored a job against what the new controller wrote."""
        deadline = time.monotonic() + CALM_S
        while not self._over.is_set() and self._placed() == before:
            assert time.monotonic() < deadline, "the controller came back, and no job was placed"
            self._over.wait(0.05)

    @property
    def is_due(self) -> bool:
        """Whether it has not struck often enough yet."""
        return self.rounds < ROUNDS and self.failure is None

    def __enter__(self) -> Weather:
        def run() -> None:
            try:
                self._blow()
            except BaseException as error:
                self.failure = error

        # The first submissions find no snapshot: until there has been one, they are held.
        self._sandbox.kill_controller()
        self._strike(truncate)
        self._thread = threading.Thread(target=run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def started_at(pid: int) -> str:
    """The process's start time, in clock ticks since boot."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]


@pytest.fixture
def storm(make_sandbox, cluster_of):
    """A sandbox of its own, on tmpfs, that starts no job."""
    return cluster_of(make_sandbox(nodes="cpu=2,gpu:a100=1,fpga:u250=1", cycle_s=0.5, snapshot_max_age_s=3.0))


def test_every_submission_in_a_storm_is_accepted_or_refused_for_its_own_fault(storm) -> None:
    sandbox = storm.sandbox
    pid, born = sandbox.slurmctld_pid, started_at(sandbox.slurmctld_pid)
    before = read_stats(sandbox.stats_path).counters
    environment = {**os.environ, **sandbox.environment}

    def submit(number: int) -> tuple[str, int | None, str]:
        kind, script, options = MIXTURE[number % len(MIXTURE)]
        command = ["sbatch", "--parsable", "--begin=now+1day", "--chdir=/tmp", "-o", "/dev/null", *options]
        done = subprocess.run(
            command, input=script, env=environment, capture_output=True, text=True, check=False
        )
        return kind, int(done.stdout.split(";")[0]) if done.returncode == 0 else None, done.stderr

    began = time.monotonic()
    numbers = itertools.count()
    with Weather(sandbox, seed=2026) as weather, ThreadPoolExecutor(CLIENTS) as clients:

        def client(_: int) -> list[tuple[str, int | None, str]]:
            mine = []
            for number in numbers:
                if number >= SUBMISSIONS:
                    if not weather.is_due:
                        mine.append(submit(number))  # so that no number is left out
                        break
                    time.sleep(BREATH_S)
                mine.append(submit(number))
            return mine

        results = [result for one in clients.map(client, range(CLIENTS)) for result in one]
    took_s = time.monotonic() - began
    assert weather.failure is None, weather.failure

    by_kind = Counter((kind, job_id is not None) for kind, job_id, _ in results)
    of_kind = Counter(MIXTURE[number % len(MIXTURE)][0] for number in range(len(results)))
    wrongly = [words for kind, job_id, words in results if (job_id is None) != kind.endswith("mistake")]
    assert not wrongly, wrongly[:5]
    for kind, job_id, words in results:
        if job_id is None:
            assert ("none" if kind == "mistake" else "never") in words
            assert "hetslurm:" in words

    accepted = {job_id for _, job_id, _ in results if job_id is not None}
    assert len(accepted) == sum(count for kind, count in of_kind.items() if not kind.endswith("mistake"))
    queued = {int(line) for line in storm.admin("squeue", "-h", "-a", "-t", "all", "-o", "%A").split()}
    assert accepted == queued

    assert (sandbox.slurmctld_pid, started_at(pid)) == (pid, born)
    log = (sandbox.layout.log / "slurmctld.log").read_text(errors="replace")
    assert "fatal" not in log
    assert "segfault" not in log.lower()

    after = read_stats(sandbox.stats_path).counters
    rose = {name: after[name] - before[name] for name in after}
    print(f"\n{took_s:.0f} s, {dict(weather.done)}, {dict(by_kind)}, {rose}")
    # SPANK refuses a mistake in --het before slurmctld hears of it.
    assert rose["seen"] == len(results) - of_kind["option-mistake"]
    assert rose["refused_parse"] == of_kind["mistake"]
    with_directives = of_kind["mistake"] + of_kind["script"] + of_kind["option"]
    assert rose["with_directives"] == with_directives
    assert rose["placed"] + rose["ordered"] + rose["held"] == of_kind["script"] + of_kind["option"]
    assert rose["refused_infeasible"] == rose["refused_absent"] == rose["refused_memory"] == 0
    assert weather.rounds >= ROUNDS, weather.done
    assert min(rose["placed"], rose["held"]) > 0, (
        "the snapshot was always, or never, of use: that was no storm"
    )

    clear(sandbox.snapshot_path)
    sandbox.start_controller()
    words = ("squeue", "-h", "-a", "-O", "JobID:12,PriorityLong:14,admin_comment:1200")

    def held() -> list[str]:
        return [line for line in storm.admin(*words).splitlines() if '"state":"held"' in line]

    began = time.monotonic()
    storm.wait_for("the controller to place what was held", lambda: not held(), 180)
    print(f"placed {rose['held']} held jobs in {time.monotonic() - began:.0f} s")
    assert not [line for line in storm.admin(*words).splitlines() if line.split()[1] == "0"]
