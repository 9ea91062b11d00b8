"""Which adapter speaks to this site's Slurm."""

from __future__ import annotations

from hetslurm.errors import SlurmError
from hetslurm.slurm.commands import CommandAdapter
from hetslurm.slurm.protocol import SlurmAdapter
from hetslurm.slurm.pyslurm_adapter import PyslurmAdapter, check_release, import_pyslurm, pyslurm_release


def choose_adapter(
    name: str = "auto",
    *,
    slurm_conf: str | None = None,
    deadline_s: float = 30.0,
    assoc_refresh_s: float = 60.0,
) -> SlurmAdapter:
    """`commands`, `pyslurm`, or `auto`: pyslurm where it fits the installed Slurm, else the commands.

    Raises SlurmError for `pyslurm` where it does not fit, and for any other name.
    """
    commands = CommandAdapter(slurm_conf, deadline_s, assoc_refresh_s)
    if name == "commands":
        return commands
    if name not in {"auto", "pyslurm"}:
        raise SlurmError(f"there is no adapter {name!r}: it is auto, commands or pyslurm")
    try:
        check_release(pyslurm_release(), commands.installed_version())
        module = import_pyslurm(slurm_conf)
    except SlurmError:
        if name == "pyslurm":
            raise
        return commands
    return PyslurmAdapter(
        module, slurm_conf=slurm_conf, deadline_s=deadline_s, assoc_refresh_s=assoc_refresh_s
    )
