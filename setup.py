"""Build: maps the top-level folders to import names and compiles the native parts.

The Slurm plugins are no Python extensions: `make plugin` builds them.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

C_FLAGS = [
    "-std=gnu11",
    "-O3",
    "-fno-math-errno",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-Wno-unused-function",
]

SNAPSHOT = ("snapshot_check.c", "snapshot_reader.c", "placements.c")
RESOLVE = ("resolve.c", "constraint.c")


def extension(name: str, *sources: str) -> Extension:
    """One compiled module of hetslurm.native; sources are files of native/."""
    return Extension(
        f"hetslurm.native.{name}",
        [f"native/{source}" for source in sources],
        depends=sorted(str(path) for pattern in ("*.h", "*.pxi") for path in Path("native").glob(pattern)),
        include_dirs=["native", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
        libraries=["m"],
        extra_compile_args=C_FLAGS,
    )


def xrt_extensions() -> list[Extension]:
    """The FPGA bindings, where XRT's headers are: nodes without a card need neither.

    HETSLURM_REQUIRE_XRT=1 makes their absence an error: the tests must never go without.
    """
    root = Path(os.environ.get("XILINX_XRT") or "/opt/xilinx/xrt")
    has_root = (root / "include/xrt/xrt_device.h").exists()
    headers = root / "include" if has_root else Path("/usr/include/xrt")
    needed = (headers / "xrt/xrt_device.h", Path("/usr/include/uuid/uuid.h"))
    missing = [str(path) for path in needed if not path.exists()]
    if not (os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")):
        missing.append("C++ compiler")
    if missing:
        what = f"no {missing[0]}: built without the FPGA bindings (Debian: libxrt-dev uuid-dev g++)"
        if os.environ.get("HETSLURM_REQUIRE_XRT") == "1":
            sys.exit(f"hetslurm: {what}, though HETSLURM_REQUIRE_XRT=1")
        print(f"hetslurm: {what}", file=sys.stderr)
        return []
    return [
        Extension(
            "hetslurm.fpga._xrt",
            ["fpga/_xrt.pyx"],
            language="c++",
            include_dirs=[str(headers)],
            library_dirs=[str(root / "lib")] if has_root else [],
            runtime_library_dirs=[str(root / "lib")] if has_root else [],
            libraries=["xrt_coreutil", "uuid"],
            extra_compile_args=["-std=c++17", "-O2", "-fvisibility=hidden"],
        )
    ]


setup(
    packages=[
        "hetslurm",
        "hetslurm.agent",
        "hetslurm.burst",
        "hetslurm.bus",
        "hetslurm.cli",
        "hetslurm.cloudburst",
        "hetslurm.cloudburst.ledger",
        "hetslurm.cloudburst.provider",
        "hetslurm.cloudburst.provider.local",
        "hetslurm.cloudburst.provider.ec2",
        "hetslurm.config",
        "hetslurm.controller",
        "hetslurm.daemon",
        "hetslurm.demo",
        "hetslurm.estimates",
        "hetslurm.estimates.runs",
        "hetslurm.fpga",
        "hetslurm.gpu",
        "hetslurm.health",
        "hetslurm.history",
        "hetslurm.host",
        "hetslurm.inventory",
        "hetslurm.native",
        "hetslurm.rebinding",
        "hetslurm.sandbox",
        "hetslurm.scoring",
        "hetslurm.slurm",
        "hetslurm.snapshot",
        "hetslurm.workloads",
    ],
    package_dir={
        "hetslurm": "hetslurm",
        "hetslurm.cloudburst": "cloudburst",
        "hetslurm.cloudburst.ledger": "cloudburst/ledger",
        "hetslurm.cloudburst.provider": "cloudburst/provider",
        "hetslurm.cloudburst.provider.local": "cloudburst/provider/local",
        "hetslurm.cloudburst.provider.ec2": "cloudburst/provider/ec2",
        "hetslurm.fpga": "fpga",
        "hetslurm.gpu": "gpu",
        "hetslurm.native": "native",
    },
    include_package_data=False,
    package_data={
        "hetslurm": ["py.typed"],
        "hetslurm.cloudburst.provider.ec2": ["*.sh"],
        "hetslurm.demo": ["scripts/*"],
        "hetslurm.fpga": ["*.pyi"],
        "hetslurm.native": ["*.pyi"],
    },
    ext_modules=cythonize(
        [
            extension("parser", "parser.pyx", "directives.c"),
            extension("layout", "layout.pyx", *SNAPSHOT, *RESOLVE),
            extension("kernel", "kernel.pyx", "snapshot_check.c", *RESOLVE),
            *xrt_extensions(),
            extension("stream", "stream.pyx", "triad.c"),
        ],
        build_dir="build/cython",
        language_level=3,
    ),
)
