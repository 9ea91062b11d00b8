/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory bandwidth as STREAM's triad measures it: a[i] = b[i] + s * c[i]. */
#ifndef HETSLURM_TRIAD_H
#define HETSLURM_TRIAD_H

#include <stddef.h>

#define HET_TRIAD_MAX_THREADS 4096

/*
 * The shortest time of `repeats` passes over three arrays of `elements`
 * doubles, shared evenly by `threads` threads, each on a cpu of its own as
 * long as the process may use that many. Every thread touches its share first,
 * so that it lies in the memory of its own socket.
 *
 * Returns 0 with the seconds in *best_s, or an errno value, *best_s untouched:
 * EINVAL for sizes that cannot be, ENOMEM, EAGAIN for threads that were not to
 * be had, EIO when a sum came out wrong. Takes 24 bytes an element, gives them
 * back, and leaves no thread and no affinity behind.
 */
int het_triad(size_t elements, unsigned threads, unsigned repeats, double *best_s);

#endif
