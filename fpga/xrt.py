"""XRT for Python: the official pyxrt where it imports, else our own binding of the same shape.

On x86 XRT wants the environment's XILINX_XRT to name a folder with `lib/libxrt_core.so.2` in it, once, when
it loads the library that talks to the driver. AMD's packages install such a folder; Debian installs into the
folder of the architecture, so one is made for that moment.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from hetslurm.errors import ProbeError

INSTALL = (
    "install XRT's runtime (Debian: libxrt1) and hetslurm with its FPGA bindings, or AMD's XRT with pyxrt"
)
MODULES = ("pyxrt", "hetslurm.fpga._xrt")
SHIM = "libxrt_core.so.2"
CORE = "libxrt_coreutil.so"
VARIABLE = "XILINX_XRT"
# What XRT's exceptions become, in pyxrt and in ours.
XRT_ERRORS = (RuntimeError, ValueError, IndexError, OverflowError, MemoryError, OSError)


class Uuid(Protocol):
    """A UUID."""

    def to_string(self) -> str:
        """Lower case, with dashes."""
        ...


class Device(Protocol):
    """An open card."""

    def get_info(self, key: Any) -> str:
        """Text for a key of xrt_info_device."""
        ...

    def get_xclbin_uuid(self) -> Uuid:
        """What is loaded."""
        ...


class Runtime(Protocol):
    """What a probe needs of the module, pyxrt or ours."""

    xrt_info_device: Any
    xclBOSyncDirection: Any  # noqa: N815
    bo: Any

    def device(self, which: Any, /) -> Device:
        """Open a card by index or by PCI address."""
        ...


def load() -> Runtime:
    """The module, ready to open cards. ProbeError where there is no XRT, with what to install."""
    troubles = []
    for name in MODULES:
        try:
            runtime = import_module(name)
        except ImportError as error:
            troubles.append(f"{name}: {error}")
            continue
        try:
            with library_folder(os.environ):
                # The first call loads the driver's library; 2.2x of pyxrt has this function, older ones need
                # AMD's own environment anyway.
                getattr(runtime, "enumerate_devices", int)()
        except XRT_ERRORS as error:
            raise ProbeError(f"XRT does not start: {error}") from error
        return cast(Runtime, runtime)
    raise ProbeError(f"no XRT for Python ({'; '.join(troubles)}): {INSTALL}")


@contextlib.contextmanager
def library_folder(
    environment: MutableMapping[str, str], maps: Path = Path("/proc/self/maps")
) -> Iterator[None]:
    """XILINX_XRT set while this lasts, where nobody has set it and XRT would not find its own library."""
    library = None if environment.get(VARIABLE) else loaded_from(maps)
    if library is None or not (library / SHIM).exists():
        yield
        return
    if library.name == "lib":
        environment[VARIABLE] = str(library.parent)
        yield
        return
    with tempfile.TemporaryDirectory(prefix="hetslurm-xrt-") as folder:
        (Path(folder) / "lib").symlink_to(library)
        environment[VARIABLE] = folder
        try:
            yield
        finally:
            del environment[VARIABLE]


def loaded_from(maps: Path) -> Path | None:
    """The folder that this process has loaded XRT's library from."""
    try:
        lines = maps.read_text().splitlines()
    except OSError:
        return None
    paths = (Path(line[line.index("/") :]) for line in lines if f"/{CORE}" in line)
    return next((path.parent for path in paths), None)
