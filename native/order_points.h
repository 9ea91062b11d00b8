/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Short jobs first: what a predicted run adds to a job's priority. The plugin and the controller share it. */
#ifndef HETSLURM_ORDER_POINTS_H
#define HETSLURM_ORDER_POINTS_H

#include <math.h>
#include <stdint.h>

/*
 * `points` for runs of `shortest` seconds or less, 0 for `longest` or more, linear in the logarithm between,
 * so that each halving of the run is worth the same. 0 where the bounds make no sense.
 */
static inline uint32_t het_order_points(double run_s, uint32_t points, double shortest, double longest)
{
	if (!(shortest > 0) || !(longest > shortest) || !(run_s < longest))
		return 0;
	if (run_s <= shortest)
		return points;
	return (uint32_t) (points * (log(longest / run_s) / log(longest / shortest)) + 0.5);
}

#endif
