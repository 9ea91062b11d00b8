/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waits depend on a job's limit too: a short one fits into gaps that a long one must not take. */
#ifndef HETSLURM_LENGTH_CLASS_H
#define HETSLURM_LENGTH_CLASS_H

#include "snapshot_layout.h"

/* Minutes, each the upper bound of its class; the last class has none. */
static const int32_t het_wait_bounds_min[HET_WAIT_LENGTHS - 1] = {60, 360, 1440};

/* The class of a time limit. 0, the partition's default, counts as the longest: it is usually MaxTime. */
static inline int het_length_class(int32_t limit_min)
{
	int length = 0;

	if (limit_min <= 0)
		return HET_WAIT_LENGTHS - 1;
	for (int i = 0; i < HET_WAIT_LENGTHS - 1; i++)
		length += limit_min > het_wait_bounds_min[i];
	return length;
}

#endif
