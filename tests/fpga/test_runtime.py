"""Finding XRT, and the folder that it wants."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from hetslurm.errors import ProbeError
from hetslurm.fpga import xrt

from .conftest import RunNoop


def _maps(path: Path, library: Path) -> Path:
    path.write_text(
        "55d0c0000000-55d0c0001000 r--p 00000000 08:01 123 /usr/bin/python3\n"
        f"7f0000000000-7f0000001000 r-xp 00000000 08:01 456 {library}/libxrt_coreutil.so.2.13.0\n"
    )
    return path


def _library(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / xrt.SHIM).touch()
    return folder


def test_debians_layout_gets_a_folder_for_as_long_as_it_takes(tmp_path: Path) -> None:
    library = _library(tmp_path / "x86_64-linux-gnu")
    environment: dict[str, str] = {}
    with xrt.library_folder(environment, _maps(tmp_path / "maps", library)):
        made = Path(environment["XILINX_XRT"])
        assert (made / "lib" / xrt.SHIM).exists()
    assert environment == {}
    assert not made.exists()


def test_the_folder_goes_also_when_xrt_fails(tmp_path: Path) -> None:
    library = _library(tmp_path / "x86_64-linux-gnu")
    environment: dict[str, str] = {}
    made: list[Path] = []

    def fail() -> None:
        with xrt.library_folder(environment, _maps(tmp_path / "maps", library)):
            made.append(Path(environment["XILINX_XRT"]))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert environment == {}
    assert not made[0].exists()


def test_amds_layout_is_named_as_it_is(tmp_path: Path) -> None:
    library = _library(tmp_path / "opt/xilinx/xrt/lib")
    environment: dict[str, str] = {}
    with xrt.library_folder(environment, _maps(tmp_path / "maps", library)):
        pass
    assert environment == {"XILINX_XRT": str(library.parent)}


def test_what_the_admin_set_stays(tmp_path: Path) -> None:
    library = _library(tmp_path / "x86_64-linux-gnu")
    environment = {"XILINX_XRT": "/elsewhere"}
    with xrt.library_folder(environment, _maps(tmp_path / "maps", library)):
        assert environment == {"XILINX_XRT": "/elsewhere"}
    assert environment == {"XILINX_XRT": "/elsewhere"}


@pytest.mark.parametrize("maps", ["", "no path here\n", None])
def test_without_the_library_nothing_is_made(tmp_path: Path, maps: str | None) -> None:
    path = tmp_path / "maps"
    if maps is not None:
        path.write_text(maps)
    environment: dict[str, str] = {}
    with xrt.library_folder(environment, path):
        assert environment == {}


def test_cards_open_after_the_folder_is_gone(run_noop: RunNoop) -> None:
    told = run_noop(
        """
        import json, os, tempfile
        from hetslurm.fpga import xrt
        runtime = xrt.load()
        left = [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("hetslurm-xrt")]
        version = json.loads(runtime.device(1).get_info(runtime.xrt_info_device.host))["version"]
        print(json.dumps([os.environ.get("XILINX_XRT"), left, version[:2]]))
        """
    )
    assert told == [None, [], "2."]


def test_the_official_pyxrt_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    official = types.ModuleType("pyxrt")
    monkeypatch.setitem(sys.modules, "pyxrt", official)
    assert xrt.load() is official


def test_a_runtime_that_does_not_start_is_a_probes_error(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = types.ModuleType("pyxrt")

    def enumerate_devices() -> int:
        raise RuntimeError("No such library '/nowhere/libxrt_core.so.2'")

    broken.enumerate_devices = enumerate_devices  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyxrt", broken)
    with pytest.raises(ProbeError, match=r"does not start: No such library '/nowhere"):
        xrt.load()


def test_without_xrt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in xrt.MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ProbeError, match="libxrt1"):
        xrt.load()
