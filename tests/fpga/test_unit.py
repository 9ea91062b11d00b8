"""What the agent's systemd unit leaves a probe is enough to see who uses a card."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "packaging" / "hetslurm-agent.service"
LOOK = """
import os, sys
from pathlib import Path
from hetslurm.fpga.pci import Card
print(Card("card", Path(sys.argv[1])).holders(os.getpid(), Path(sys.argv[2])))
"""
NOBODY = 65534


def _capabilities() -> list[str]:
    (line,) = [line for line in UNIT.read_text().splitlines() if line.startswith("CapabilityBoundingSet=")]
    return [name.removeprefix("CAP_").lower() for name in line.partition("=")[2].split()]


def _holders(folder: Path, *before: str) -> str:
    command = [*before, sys.executable, "-P", "-c", LOOK, str(folder), str(folder / "proc")]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run as root with less")
def test_the_unit_s_capabilities_let_the_probe_look_into_other_users_processes(tmp_path: Path) -> None:
    (tmp_path / "bus/pci/devices/card/drm/renderD128").mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    bounds = ",".join(["-all", *(f"+{name}" for name in _capabilities())])
    with subprocess.Popen(["sleep", "600"], user=NOBODY, group=NOBODY) as other:
        try:
            # Of all processes that one alone: there are machines whose first lets nobody look.
            (tmp_path / "proc" / str(other.pid)).symlink_to(f"/proc/{other.pid}")
            as_root = _holders(tmp_path)
            assert _holders(tmp_path, "setpriv", f"--bounding-set={bounds}", "--inh-caps=-all") == as_root
        finally:
            other.kill()
