/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plugin's statistics page: counters and latency histograms that anybody
 * who may read it can map while slurmctld runs. Declared once, here; the page
 * carries the names of its own rows, so that readers need no copy of the lists.
 */
#ifndef HETSLURM_STATS_LAYOUT_H
#define HETSLURM_STATS_LAYOUT_H

#include <stdint.h>

#include "snapshot.h"

#define HET_STATS_MAGIC UINT64_C(0x3154415453544548) /* "HETSTAT1", little-endian */
#define HET_STATS_VERSION 1

#define HET_STATS_COUNTERS(X)                                                                   \
	X(seen)                 /* calls of job_submit() */                                     \
	X(with_directives)      /* of them, with #HET or --het */                               \
	X(placed)               /* scored and sent to a pool */                                 \
	X(placed_waiting)       /* of them, to a pool that cannot start jobs now */             \
	X(ordered)              /* placed by the author's order: the snapshot was stale */      \
	X(held)                 /* accepted held: no snapshot */                                \
	X(held_for_cloud)       /* accepted held: burst=only */                                 \
	X(refused_parse)        /* a directive was wrong */                                     \
	X(refused_infeasible)   /* no pool can ever run it */                                   \
	X(refused_absent)       /* no snapshot, and the site rejects then */                    \
	X(refused_memory)       /* no memory for a workspace */                                 \
	X(refused_cloud)        /* it named a cloud partition by itself */                      \
	X(workspaces_exhausted) /* every static workspace was in use: one came from the heap */ \
	X(workspaces_grown)     /* a workspace met more pools than ever before */               \
	X(modify_calls)         /* calls of job_modify() */                                     \
	X(warnings)             /* warnings logged, one a minute at most */

/* Histograms, in nanoseconds. */
#define HET_STATS_PHASES(X)                                                          \
	X(call)     /* job_submit() of a job with directives, all of it */           \
	X(decision) /* parse + resolve + score + rewrite */                          \
	X(take)     /* getting hold of the snapshot, and copying a new generation */ \
	X(parse)                                                                     \
	X(resolve)                                                                   \
	X(score)                                                                     \
	X(rewrite)

enum {
#define HET_STAT(name) HET_STAT_##name,
	HET_STATS_COUNTERS(HET_STAT)
#undef HET_STAT
	        HET_N_STATS
};

enum {
#define HET_PHASE(name) HET_PHASE_##name,
	HET_STATS_PHASES(HET_PHASE)
#undef HET_PHASE
	        HET_N_PHASES
};

/*
 * Log-linear buckets: 2^HET_STATS_SUB_BITS equal steps to each doubling, so that a
 * bucket's middle is within 1.6 % of every value in it. The last one holds all that is longer than 2^37 ns.
 */
enum { HET_STATS_SUB_BITS = 5, HET_STATS_TOP_BIT = 36 };
enum { HET_STATS_BUCKETS = (HET_STATS_TOP_BIT - HET_STATS_SUB_BITS + 2) << HET_STATS_SUB_BITS };

static inline uint32_t het_stats_bucket(uint64_t ns)
{
	int top;

	if (ns < (1u << HET_STATS_SUB_BITS))
		return (uint32_t) ns;
	top = 63 - __builtin_clzll(ns);
	if (top > HET_STATS_TOP_BIT)
		return HET_STATS_BUCKETS - 1;
	return ((uint32_t) (top - HET_STATS_SUB_BITS) << HET_STATS_SUB_BITS) +
	       (uint32_t) (ns >> (top - HET_STATS_SUB_BITS));
}

struct het_stats_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_size;   /* the rows below start here */
	int64_t started_at_ns;  /* CLOCK_REALTIME */
	uint32_t slurm_version; /* SLURM_VERSION_NUMBER of the plugin's build */
	int32_t pid;
	uint32_t n_counters, n_statuses, n_phases, n_buckets;
	uint32_t sub_bits;
	uint32_t reserved;
	/* Names in the order of the rows, each list's separated by a blank, lists by a newline. */
	char names[2048];
};

struct het_stats_page {
	struct het_stats_header header;
	uint64_t counter[HET_N_STATS];
	uint64_t status[HET_N_SNAP]; /* what every attempt to take the snapshot ended with */
	uint64_t histogram[HET_N_PHASES][HET_STATS_BUCKETS];
};

_Static_assert(sizeof(struct het_stats_header) % 8 == 0, "rows are aligned");

#endif
