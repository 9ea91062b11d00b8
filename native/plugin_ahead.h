/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fetching ahead. Between two jobs slurmctld runs a millisecond of other code, and the caches forget ours: a
 * decision then waits for memory, line by line, for most of its time. Asked for all at once, the lines arrive
 * side by side, while the first of them are worked on. Under a real slurmctld it takes a tenth off a
 * decision.
 */
#ifndef HETSLURM_PLUGIN_AHEAD_H
#define HETSLURM_PLUGIN_AHEAD_H

#include <stddef.h>

#define HET_LINE 64

/* From native/plugin.ld. */
extern const char het_decision_text[], het_decision_text_end[];

/* Only a hint: nothing faults, whatever the addresses are. `most` bytes at most. */
static inline __attribute__((always_inline)) void het_fetch_ahead(const void *from, const void *to,
                                                                  size_t most)
{
	const char *at = from, *end = to;

	if (end > at && (size_t) (end - at) > most)
		end = at + most;
	for (; at < end; at += 4 * HET_LINE) {
		__builtin_prefetch(at);
		__builtin_prefetch(at + HET_LINE);
		__builtin_prefetch(at + 2 * HET_LINE);
		__builtin_prefetch(at + 3 * HET_LINE);
	}
}

#endif
