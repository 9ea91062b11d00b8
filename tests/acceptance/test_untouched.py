"""A job without directives is, byte for byte, what stock Slurm would have queued.

The same commands go to a sandbox with hetslurm and to one without: what slurmctld shows of the job, the
script and environment files that it keeps, and what the running job sees, may differ in ids, times and
the sandbox's own folder alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slurm

OPTIONS = {
    "nothing": (),
    "partition": ("-p", "gpu"),
    "gres": ("-p", "gpu", "--gres=gpu:a100:1"),
    "shape": ("-N2", "-n4", "-c1", "--mem=100M", "-t", "5"),
    "array": ("--array=1-3",),
    "texts": ("--comment=a b", "-J", "name", "--export=ALL,MINE=1", "--mail-type=NONE", "--constraint="),
    "dependency": ("--dependency=singleton", "--nice=5", "--begin=now+1hour", "--requeue"),
    "heterogeneous": ("-n1", ":", "-p", "gpu", "-n1"),
}
SCRIPTS = {
    "plain": "#!/bin/sh\n#SBATCH -t 7\ntrue\n",
    "late": "#!/bin/sh\n#SBATCH -t 7\necho\n#HET target=gpu:1\n",
    "alike": "#!/bin/sh\n# HET target=gpu:1\n##HET target=gpu:1\n#HETERO x\ntrue\n",
    "bytes": "#!/bin/sh\n# caf\u00e9 \u2603\n" + "# long\n" * 3000 + "true\n",
}
IDS = r"(JobId|SLUID|ArrayJobId|HetJobId|HetJobIdSet|HetJobOffset)=\S+"
TIMES = (
    r"(SubmitTime|EligibleTime|AccrueTime|StartTime|EndTime|Deadline|LastSchedEval|PreemptEligibleTime)=\S+"
)


# Whether a command still hears that its allocation ended, or that it waits for one, is a matter of timing.
TIMING = re.compile(
    r"^\w+: .*(has been revoked\.|Pending job allocation|queued and waiting for|has been allocated|"
    r"Waiting for resource configuration|are ready for job).*\n",
    re.MULTILINE,
)


def shown(cluster, job_id: int) -> str:
    """`scontrol show job -dd` without ids and times."""
    text = cluster.admin("scontrol", "show", "job", "-dd", str(job_id))
    text = re.sub(f"{IDS}|{TIMES}|RunTime=\\S+|Scheduler=\\S+|Priority=\\S+", "", text)
    text = re.sub(r"AllocNode:Sid=\S+", "", text)
    return text.replace(str(cluster.sandbox.root), "DIR")


def kept(cluster, job_id: int, name: str) -> bytes:
    """A file of the job in slurmctld's state folder: "script" or "environment"."""
    folder = re.search(r"StateSaveLocation\s*=\s*(\S+)", cluster.admin("scontrol", "show", "config"))[1]
    path = Path(folder, f"hash.{job_id % 10}", f"job.{job_id}", name)
    return path.read_bytes().replace(str(cluster.sandbox.root).encode(), b"DIR")


@pytest.fixture
def both(cluster, stock_cluster) -> Iterator[Callable[[Callable], tuple[object, object]]]:
    """`both(f)`: f of the cluster with hetslurm, and of the one without."""
    yield lambda ask: (ask(cluster), ask(stock_cluster))
    stock_cluster.forget_jobs()


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("options", OPTIONS)
def test_job_without_directives_is_queued_as_stock_slurm_queues_it(both, options: str, script: str) -> None:
    def queue(cluster):
        verdict = cluster.submit(*OPTIONS[options], script=SCRIPTS[script])
        assert verdict.job_id is not None, verdict.words
        return (
            verdict.words,
            shown(cluster, verdict.job_id),
            kept(cluster, verdict.job_id, "script"),
            kept(cluster, verdict.job_id, "environment"),
        )

    ours, stock = both(queue)
    assert ours[0] == stock[0] == ""
    assert ours[1:] == stock[1:]


def test_running_job_without_directives_sees_what_stock_slurm_gives(both) -> None:
    changing = {
        "SLURM_JOB_ID",
        "SLURM_JOBID",
        "SLURM_JOB_SLUID",
        "_job",
        "SLURMD_NODENAME",
        "SLURM_CONF",
        "TMPDIR",
        "SLURM_TASK_PID",
    }
    changing |= {"SLURM_JOB_START_TIME", "SLURM_JOB_END_TIME", "SLURM_TOPOLOGY_ADDR", "SLURM_NODELIST"}
    changing |= {"SLURM_JOB_NODELIST", "SLURM_WORKING_CLUSTER"}

    def inside(cluster) -> dict[str, str]:
        found = cluster.environment_of("-p", "gpu", "--gres=gpu:a100:1", "-t", "1")
        own = str(cluster.sandbox.root)
        return {key: value.replace(own, "DIR") for key, value in found.items() if key not in changing}

    ours, stock = both(inside)
    assert ours == stock


@pytest.mark.parametrize("name", ["HET_KIND", "HET_TYPE", "HET_TARGET", "HET_POOL", "HET_MAP", "HET_OTHER"])
def test_variable_of_the_users_own_passes_through_whatever_its_name(both, name: str) -> None:
    def inside(cluster) -> str:
        return cluster.environment_of("-p", "cpu", "-t", "1", env={name: "mine"})[name]

    ours, stock = both(inside)
    assert ours == stock == "mine"


@pytest.mark.parametrize("command", [("srun", "-p", "cpu", "-t", "1", "env"), ("salloc", "-p", "cpu", "env")])
def test_srun_and_salloc_without_the_option_are_stock(both, command) -> None:
    def names(cluster) -> tuple[set[str], str]:
        done = cluster.sandbox.run(list(command), check=True)
        words = re.sub(r"\d+", "N", TIMING.sub("", done.stderr))
        return {line.split("=")[0] for line in done.stdout.splitlines() if "=" in line}, words

    ours, stock = both(names)
    assert ours == stock


@pytest.mark.parametrize(
    "options", [("-p", "nowhere"), ("-p", "gpu", "--gres=nothing:1"), ("-N", "999"), ("--mem=999T",)]
)
def test_refusals_are_slurms_own_words(both, options) -> None:
    def refusal(cluster) -> str:
        verdict = cluster.submit(*options, hold=False)
        assert verdict.job_id is None
        return verdict.words

    ours, stock = both(refusal)
    assert ours == stock
