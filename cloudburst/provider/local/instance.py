"""One pretended instance: `python -P -m hetslurm.cloudburst.provider.local.instance FOLDER LOCK_FD`.

It boots, runs slurmd, and ends at its last order, at its deadline (whoever else lives), or when the cloud
takes it away; nothing that it started outlives it. It holds the lock of the living until then.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from hetslurm.cloudburst.provider.local import family
from hetslurm.cloudburst.provider.local.folder import Folder, LocalOrder

POLL_S = 0.1
FAMILY_EVERY_S = 1.0
# How long slurmd may take to end by itself.
GRACE_S = 2.0
BAD_IMAGE, NEVER_JOINS = "bad-image", "never-joins"


class LocalInstance:
    """The process in which an instance lives."""

    def __init__(self, folder: Folder, order: LocalOrder) -> None:
        self._folder = folder
        self._order = order
        self._told = False
        self._family: set[family.Member] = set()
        self._family_at = 0.0

    def live(self) -> None:
        """From boot to end; whatever goes wrong, nothing that it started is left."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        why = "it broke"
        try:
            why = self._run()
        finally:
            self._end(why)

    def _run(self) -> str:
        """Boot, run; why it ends."""
        self._folder.write("begun.json", {"pid": os.getpid()})
        up_at = self._order.launched_at + self._order.boot_s
        why = self._watch(up_at)
        if not why and self._order.fault == BAD_IMAGE:
            why = "its image does not boot"
        if not why and self._order.fault != NEVER_JOINS:
            why = self._start()
        return why or self._watch(float("inf"))

    def _watch(self, until: float) -> str:
        """Wait; why it ends before, or ""."""
        while time.time() < until:
            self._bury()
            now = time.time()
            notice_at = self._folder.notice_at()
            if self._folder.has("lost"):
                return "lost"
            if notice_at is not None and now >= notice_at:
                return "taken away"
            if self._told or self._folder.has("terminate"):
                return "terminated"
            if not self._folder.has("order.json"):
                return "its folder is gone"
            if now >= self._folder.deadline_at(self._order):
                return "its money is used up"
            self._write_family()
            time.sleep(max(0.0, min(POLL_S, until - time.time())))
        return ""

    def _start(self) -> str:
        """Start slurmd and the agent; why that failed, or ""."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
        path = os.pathsep.join([kept.get("PATH", "/usr/bin:/bin"), "/usr/sbin", "/sbin"])
        env = {
            **kept,
            "PATH": path,
            family.MARKER: str(self._folder.path),
            "HETSLURM_NOTICE_FILE": str(self._folder.path / "notice.json"),
        }
        conf = self._order.slurm_conf or os.environ.get("SLURM_CONF", "")
        if conf:
            env["SLURM_CONF"] = conf
        for argv in filter(None, (self._order.argv, self._order.agent_argv)):
            try:
                child = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    cwd=self._folder.path,
                    env=env,
                    start_new_session=True,
                    preexec_fn=family.die_with_parent,  # noqa: PLW1509  one thread only
                )
            except OSError as error:
                print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
                return f"{argv[0]} cannot be started: {error.strerror}"
            child.returncode = 0  # _bury() waits for it, not Popen
        self._write_family(now=True)
        return ""

    def _write_family(self, *, now: bool = False) -> None:
        """Write down who belongs to us, for those who come when we were killed."""
        if not now and time.monotonic() < self._family_at + FAMILY_EVERY_S:
            return
        self._family_at = time.monotonic()
        found = family.descendants([os.getpid()])
        if found != self._family:
            self._family = found
            with suppress(OSError):  # a full disk ends no instance
                self._folder.write("family.json", {"members": sorted(found)})

    def _end(self, why: str) -> None:
        """End all that we started; a cloud that takes an instance away does not ask it first."""
        if why not in ("taken away", "lost"):
            family.kill(family.descendants([os.getpid()]), signal.SIGTERM)
            until = time.monotonic() + GRACE_S
            while time.monotonic() < until and family.descendants([os.getpid()]):
                self._bury()
                time.sleep(0.02)
        while left := family.descendants([os.getpid()]):
            family.kill(left)
            self._bury()
            time.sleep(0.01)
        self._bury()
        with suppress(OSError):  # then the next look at the list finds it dead
            self._folder.write("ended.json", {"at": time.time(), "why": why})

    @staticmethod
    def _bury() -> None:
        """Collect children that ended, adopted ones too."""
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def _on_signal(self, number: int, frame: object) -> None:
        self._told = True


def main(path: str, lock: str) -> None:
    """Live."""
    # ResumeProgram may run with signals blocked and others ignored; neither is for slurmd.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    with suppress(PermissionError):  # a leader already
        os.setsid()
    os.set_inheritable(int(lock), False)
    family.adopt_orphans()
    folder = Folder(Path(path))
    order = folder.order()
    if order is None:
        sys.exit(f"{path} has no order.json: start instances through the provider")
    LocalInstance(folder, order).live()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
