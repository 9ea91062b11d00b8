"""Slurm's own commands against a sandbox, and what its users do with them."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hetslurm.errors import SandboxError

FINAL_STATES = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "TIMEOUT",
    }
)
_FIELD = re.compile(r"(?:^|\s)([A-Za-z][A-Za-z0-9_/:]*)=")


class Client:
    """Runs commands with the sandbox's environment, as any user when this process is root."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._readers: set[int] = set()

    def run(
        self,
        argv: list[str],
        *,
        user: str | int | None = None,
        check: bool = True,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        timeout_s: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. With `check`, a failure raises SandboxError with the command's words."""
        base = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("SLURM", "SBATCH", "SRUN", "SALLOC", "HET"))
        }
        identity: dict[str, Any] = {}
        if user is not None:
            entry = pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(user)
            base |= {"HOME": "/", "USER": entry.pw_name, "LOGNAME": entry.pw_name}
            if entry.pw_uid != os.geteuid():
                identity = {
                    "user": entry.pw_uid,
                    "group": entry.pw_gid,
                    "extra_groups": os.getgrouplist(entry.pw_name, entry.pw_gid),
                }
            cwd = cwd or "/"
            if entry.pw_uid not in self._readers:
                self._check_readable(entry.pw_name, identity)
                self._readers.add(entry.pw_uid)
        done = subprocess.run(
            argv,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            check=False,
            env={**base, **self.environment, **(env or {})},
            cwd=cwd,
            timeout=timeout_s,
            **identity,
        )
        if check and done.returncode:
            raise SandboxError(
                f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done

    def _check_readable(self, user: str, identity: Mapping[str, Any]) -> None:
        """Say so at once when a user cannot read slurm.conf: Slurm's commands would try for a minute."""
        conf = self.environment["SLURM_CONF"]
        if subprocess.run(["test", "-r", conf], check=False, cwd="/", **identity).returncode:
            raise SandboxError(f"{user} cannot read {conf}; choose a --dir that all its users can enter")

    def submit(self, script: str | Path, *options: str, user: str | int | None = None, **run: object) -> int:
        """sbatch a script (a Path, or its text); the job's id. Raises SandboxError when refused."""
        argv = ["sbatch", "--parsable", *options]
        if isinstance(script, Path):
            done = self.run([*argv, str(script)], user=user, **run)  # type: ignore[arg-type]
        else:
            done = self.run(argv, user=user, input=script, **run)  # type: ignore[arg-type]
        return int(done.stdout.split(";")[0])

    def job(self, job_id: int | str) -> dict[str, str]:
        """The fields of `scontrol show job -d` (the first record of an array or heterogeneous job)."""
        text = self.run(["scontrol", "show", "job", "-d", "-o", str(job_id)]).stdout
        return parse_fields(text.splitlines()[0])

    def node(self, name: str) -> dict[str, str]:
        """The fields of `scontrol show node`."""
        return parse_fields(self.run(["scontrol", "show", "node", "-o", name]).stdout.splitlines()[0])

    def wait_job(
        self, job_id: int | str, states: Iterable[str] = FINAL_STATES, timeout_s: float = 60.0
    ) -> dict[str, str]:
        """Poll until the job is in one of the states; its fields then. SandboxError when it cannot be."""
        wanted = frozenset(states)
        deadline = time.monotonic() + timeout_s
        while (job := self.job(job_id))["JobState"] not in wanted:
            if time.monotonic() > deadline or (job["JobState"] in FINAL_STATES and not wanted & FINAL_STATES):
                raise SandboxError(
                    f"job {job_id} is {job['JobState']} ({job.get('Reason')}), "
                    f"not {' or '.join(sorted(wanted))}"
                )
            time.sleep(0.1)
        return job


def parse_fields(line: str) -> dict[str, str]:
    """`Key=value …` as scontrol prints it; a value may hold blanks, a JSON comment too."""
    marks = list(_FIELD.finditer(line))
    fields: dict[str, str] = {}
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        value = line[mark.end() : following.start() if following else len(line)].strip()
        fields.setdefault(mark[1], value)
    return fields
