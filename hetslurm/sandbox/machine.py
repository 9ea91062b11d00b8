"""What this machine has: Slurm's release and plugin folder, our plugins, character devices."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import subprocess
from pathlib import Path

from hetslurm.errors import SandboxError

PLUGINS = ("job_submit_hetslurm.so", "spank_hetslurm.so")
ALWAYS_THERE = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def need(*commands: str) -> None:
    """Raise SandboxError that names every command that is not installed."""
    if missing := [command for command in commands if _found(command) is None]:
        raise SandboxError(
            f"{', '.join(missing)} not found; on Debian: apt-get install slurm-wlm munge"
            " (and slurmdbd mariadb-server-core for accounting)"
        )


def program(command: str) -> str:
    """The path of a command, also of one for administrators. Raises SandboxError when it is not installed."""
    need(command)
    return _found(command) or command


def _found(command: str) -> str | None:
    return shutil.which(command, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


def user_name() -> str:
    """The user that this process runs as, whatever $USER says."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise SandboxError(
            f"uid {os.geteuid()} has no name; munge and Slurm need one (/etc/passwd)"
        ) from error


def slurm_version() -> tuple[int, int]:
    """(22, 5) for the installed slurmctld."""
    path = program("slurmctld")
    text = subprocess.run([path, "-V"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", text)
    if found is None:
        raise SandboxError(f"{path} -V says {text!r}: no version")
    return int(found[1]), int(found[2])


def system_plugin_dir() -> str:
    """Where Slurm's own plugins are."""
    for pattern in (
        "/usr/lib/*/slurm-wlm",
        "/usr/lib/*/slurm",
        "/usr/lib64/slurm",
        "/usr/lib/slurm",
        "/usr/local/lib/slurm",
    ):
        for folder in sorted(Path("/").glob(pattern.lstrip("/"))):
            if (folder / "auth_munge.so").exists():
                return str(folder)
    raise SandboxError("Slurm's plugin folder (with auth_munge.so) is in none of the usual places")


def find_plugin_dir(given: str | Path | None) -> str:
    """The folder with our plugins: the given one, else HETSLURM_PLUGIN_DIR, ./build, or Slurm's own."""
    if given is not None:
        places = [Path(given)]
    elif "HETSLURM_PLUGIN_DIR" in os.environ:
        places = [Path(os.environ["HETSLURM_PLUGIN_DIR"])]
    else:
        places = [Path("build"), Path(system_plugin_dir())]
    for folder in places:
        if all(os.path.exists(folder / name) for name in PLUGINS):
            return str(folder.resolve())
    raise SandboxError(
        f"{' and '.join(PLUGINS)} are not in {' or '.join(map(str, places))}; build them with `make plugin`,"
        " or say --plugin-dir"
    )


def character_devices() -> tuple[str, ...]:
    """Devices to stand for pretended GPUs: Slurm insists on character devices, never opens them here."""
    terminals = [f"/dev/tty{i}" for i in range(64)]
    found = tuple(path for path in terminals if os.path.exists(path) and stat.S_ISCHR(os.stat(path).st_mode))
    return found or ALWAYS_THERE
