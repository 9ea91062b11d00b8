/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kill limit that a job gets on a pool. */
#ifndef HETSLURM_LIMIT_GROWTH_H
#define HETSLURM_LIMIT_GROWTH_H

#include <math.h>
#include <stdint.h>

#define HET_MAX_LIMIT_MIN (366 * 24 * 60)

/*
 * The author's own, minutes (0: he left it open), which nothing shortens. On a device slower than he thought
 * of it would kill the job: there it grows to what he declared or to the run, whichever takes longer on it,
 * as far as the partition's MaxTime allows.
 */
static inline int32_t het_grown_limit(int32_t limit_min, double declared_s, double run_s, double speed,
                                      int32_t most_min)
{
	double grown;

	if (limit_min <= 0 || speed >= 1)
		return limit_min > 0 ? limit_min : 0;
	grown = ceil(fmax(run_s, declared_s / speed) / 60);
	if (grown > most_min)
		grown = most_min;
	return grown > limit_min && grown < HET_MAX_LIMIT_MIN ? (int32_t) grown : limit_min;
}

#endif
