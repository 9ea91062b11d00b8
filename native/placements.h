/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was placed in the last moments: it is not in the snapshot yet, and must not be forgotten by the next
 * one. */
#ifndef HETSLURM_PLACEMENTS_H
#define HETSLURM_PLACEMENTS_H

#include <stdatomic.h>

#include "snapshot.h"

#define HET_N_PLACEMENTS \
	4096 /* a power of two; more than that between two generations: the oldest are forgotten */

/* A job between its placement and the controller's next reading of Slurm. */
struct het_placement {
	_Atomic uint64_t turn; /* 0: being written; else 1 + its place in the sequence */
	_Atomic int64_t at_ns;
	_Atomic uint64_t key;   /* hash of the pool's name */
	_Atomic uint64_t units; /* doubles as bits */
	_Atomic uint64_t unit_s;
	_Atomic uint32_t pool;
};

struct het_placements {
	_Atomic uint64_t next;
	struct het_placement ring[HET_N_PLACEMENTS];
};

/* Add to held's sums, and remember for the generations to come. Any thread. */
void het_placements_note(struct het_placements *placements, struct het_held *held, uint32_t pool,
                         double units, double unit_s);

/* Add to held, a new generation, what was placed after its controller read Slurm. Nobody else may see held
 * yet. */
void het_placements_carry(struct het_placements *placements, struct het_held *held);

#endif
