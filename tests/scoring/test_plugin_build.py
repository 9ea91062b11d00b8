"""The kernel as the plugin links it: no Python in it, and the same choices as the extension's."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from hetslurm.native import kernel

from .random_views import random_authors, random_jobs, random_tables, slot_of

NATIVE = Path(__file__).parents[2] / "native"
CC = [
    "gcc", "-std=gnu11", "-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic",
    "--param", "vect-epilogues-nomask=0", "-fPIC", "-fno-math-errno", "-ffp-contract=off",
    "-ffinite-math-only", "-fno-signed-zeros", "-fno-trapping-math",
    "-ffunction-sections", "-fdata-sections", "-fvisibility=hidden", f"-I{NATIVE}",
]  # fmt: skip
PROBE = r"""
#include <stdlib.h>
#include "score.h"
#include "snapshot.h"
#define EXPORT __attribute__((visibility("default")))
EXPORT int probe_score(const void *slot, size_t size, const struct het_author *author, uint32_t *row,
                       const struct het_job *jobs, size_t n_jobs, const struct het_alt *alts,
                       struct het_choice *choices, struct het_choice *ordered)
{
	struct het_view view;
	int status = het_view_check(slot, size, 1, &view);
	double *scratch = calloc(het_score_scratch(16, view.n_pools) + 1, sizeof(double));

	if (status || !scratch)
		return status ? status : -1;
	het_admit(&view, author, row);
	for (size_t i = 0; i < n_jobs; i++) {
		het_score(&view, &jobs[i], alts, row, NULL, scratch, &choices[i]);
		het_order(&view, &jobs[i], alts, row, &ordered[i]);
	}
	free(scratch);
	return 0;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernel and the snapshot's checks, linked as native/plugin.mk links the plugin."""
    folder = tmp_path_factory.mktemp("plugin")
    source = folder / "score_kernel.c"
    cython = shutil.which("cython", path=str(Path(sys.executable).parent)) or "cython"
    subprocess.run(
        [cython, "-3", "-I", str(NATIVE), str(NATIVE / "score.pyx"), "-o", str(source)], check=True
    )
    (folder / "probe.c").write_text(PROBE)
    (folder / "probe.map").write_text("{ global: probe_score; local: *; };\n")
    include = f"-I{sysconfig.get_path('include')}"
    for file in (source, folder / "probe.c", NATIVE / "snapshot_check.c"):
        subprocess.run([*CC, include, "-c", str(file), "-o", str(folder / f"{file.stem}.o")], check=True)
    library = folder / "probe.so"
    objects = [str(folder / name) for name in ("score_kernel.o", "probe.o", "snapshot_check.o")]
    link = ["-Wl,--gc-sections", f"-Wl,--version-script={folder / 'probe.map'}", "-Wl,--no-undefined"]
    subprocess.run(["gcc", "-shared", "-o", str(library), *objects, *link, "-lm"], check=True)
    return library


def test_the_plugins_kernel_names_no_python(library: Path) -> None:
    symbols = subprocess.run(["nm", "-D", str(library)], check=True, capture_output=True, text=True).stdout
    assert "probe_score" in symbols
    assert "Py" not in symbols
    needed = subprocess.run(
        ["readelf", "-d", str(library)], check=True, capture_output=True, text=True
    ).stdout
    assert "libpython" not in needed


@pytest.mark.parametrize("easy", [False, True], ids=["hostile", "friendly"])
def test_the_plugins_kernel_chooses_as_the_extension_does(library: Path, easy: bool) -> None:
    probe = ctypes.CDLL(str(library)).probe_score
    for seed in range(40):
        view = kernel.View(slot_of(random_tables(seed, 33, easy)))
        authors, _ = random_authors(seed, 1, easy)
        authors["n_nodes"] = 0
        jobs, alts = random_jobs(seed, 10, 1, easy)
        slot = np.zeros(len(view.slot) + 64, dtype=np.uint8)
        slot = slot[-slot.ctypes.data % 64 :][: len(view.slot)]
        slot[:] = np.frombuffer(view.slot, dtype=np.uint8)
        row = np.zeros(view.n_pools, dtype=np.uint32)
        choices, ordered = np.zeros(10, dtype=kernel.CHOICE_DTYPE), np.zeros(10, dtype=kernel.CHOICE_DTYPE)

        def at(array: np.ndarray) -> ctypes.c_void_p:
            return ctypes.c_void_p(array.ctypes.data)

        status = probe(
            at(slot), ctypes.c_size_t(len(slot)), at(authors), at(row), at(jobs), ctypes.c_size_t(10),
            at(alts), at(choices), at(ordered),
        )  # fmt: skip
        assert status == 0
        rows = kernel.admit(view, authors)
        np.testing.assert_array_equal(row, rows[0])
        assert choices.tobytes() == kernel.score_batch(view, jobs, alts, rows).tobytes()
        assert ordered.tobytes() == kernel.score_order(view, jobs, alts, rows).tobytes()
