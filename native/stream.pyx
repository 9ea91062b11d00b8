# cython: language_level=3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory bandwidth as STREAM's triad measures it (McCalpin, 1995), in C, since NumPy needs two passes for it."""

import os

from hetslurm.errors import ProbeError


cdef extern from "triad.h" nogil:
    int het_triad(size_t elements, unsigned int threads, unsigned int repeats, double *best_s)


def triad(size_t elements, unsigned int threads, unsigned int repeats):
    """The shortest time in seconds of `repeats` passes a = b + 3c over arrays of `elements` float64.

    A pass reads 16 and writes 8 bytes an element. ProbeError says why it could not be measured.
    """
    cdef double best_s = 0.0
    cdef int error
    with nogil:
        error = het_triad(elements, threads, repeats, &best_s)
    if error:
        raise ProbeError(f"triad over {elements} elements in {threads} threads: {os.strerror(error)}")
    return best_s
