"""Build: maps the top-level folders to import names and compiles the native parts.

The Slurm plugins are no Python extensions: `make plugin` builds them.
"""

from __future__ import annotations

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
        extra_compile_args=C_FLAGS,
    )


setup(
    packages=[
        "hetslurm",
        "hetslurm.agent",
        "hetslurm.bus",
        "hetslurm.cli",
        "hetslurm.config",
        "hetslurm.controller",
        "hetslurm.daemon",
        "hetslurm.demo",
        "hetslurm.estimates",
        "hetslurm.fpga",
        "hetslurm.gpu",
        "hetslurm.health",
        "hetslurm.host",
        "hetslurm.inventory",
        "hetslurm.native",
        "hetslurm.sandbox",
        "hetslurm.scoring",
        "hetslurm.slurm",
        "hetslurm.snapshot",
    ],
    package_dir={
        "hetslurm": "hetslurm",
        "hetslurm.fpga": "fpga",
        "hetslurm.gpu": "gpu",
        "hetslurm.native": "native",
    },
    include_package_data=False,
    package_data={
        "hetslurm": ["py.typed"],
        "hetslurm.demo": ["scripts/*"],
        "hetslurm.fpga": ["*.pyi"],
        "hetslurm.native": ["*.pyi"],
    },
    ext_modules=cythonize(
        [
            extension("parser", "parser.pyx", "directives.c"),
            extension("layout", "layout.pyx", *SNAPSHOT, *RESOLVE),
            extension("kernel", "kernel.pyx", "snapshot_check.c", *RESOLVE),
            extension("stream", "stream.pyx", "triad.c"),
        ],
        build_dir="build/cython",
        language_level=3,
    ),
)
