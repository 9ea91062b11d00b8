"""Running one of Slurm's commands, and telling "no answer" from "no". The only place that starts them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from hetslurm.errors import SlurmError, SlurmRefused, SlurmUnavailable

# Slurm's own words, in any of its commands, for a daemon that does not answer.
_UNAVAILABLE = (
    "unable to contact slurm",
    "connect failure",
    "connection refused",
    "connection reset",
    "communication connection",
    "socket timed out",
    "timed out on send/recv",
    "zero bytes were transmitted",
    "unexpected message received",  # all that 22.05's `scontrol update` says of a slurmctld that is away
    "slurmdbd",
    "persistconn",
    "persistent connection",
    "could not establish a configuration source",
    "unable to establish",
    "slurm controller is in standby",
    "backup controller",
    "slurm backend controller",
    "munge",
    "authentication",
    "unable to process configuration file",
)


def run_slurm(
    arguments: Sequence[str], *, deadline_s: float, slurm_conf: str | None = None, must_write: bool = False
) -> bytes:
    """Standard output of `arguments`, without a shell, in Slurm's plainest words.

    `must_write`: nothing on standard output is a failure, whatever the status says.

    Raises SlurmUnavailable when it does not end in `deadline_s` seconds or a daemon does not answer,
    SlurmRefused with Slurm's words for any other failure, SlurmError when the command is not installed.
    """
    # PATH, HOME and the like stay; what would change the form of the output does not.
    ours = ("SQUEUE_", "SCONTROL_", "SACCT_", "SACCTMGR_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    env |= {"LC_ALL": "C", "SLURM_TIME_FORMAT": "%s", "SLURM_BITSTR_LEN": "0", "TZ": "UTC"}
    env.pop("SLURM_CLUSTERS", None)
    if slurm_conf:
        env["SLURM_CONF"] = slurm_conf
    try:
        done = subprocess.run(
            list(arguments),
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=deadline_s,
            check=False,
        )
    except FileNotFoundError:
        raise SlurmError(f"{arguments[0]} is not installed, or not in PATH") from None
    except subprocess.TimeoutExpired:
        raise SlurmUnavailable(f"{arguments[0]} did not answer in {deadline_s:g} s") from None
    except OSError as cause:
        raise SlurmError(f"{arguments[0]} could not be started: {cause.strerror}") from cause
    words = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode or (must_write and not done.stdout):
        raise judge_failure(arguments[0], words or f"it ended with status {done.returncode}")
    return done.stdout


def judge_failure(command: str, words: str) -> SlurmError:
    """The error behind what a failed command wrote."""
    low = words.lower()
    kind = SlurmUnavailable if any(mark in low for mark in _UNAVAILABLE) else SlurmRefused
    return kind(f"{command}: {words[-500:]}")
