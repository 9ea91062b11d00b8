/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record that a job carries in its admin_comment: one compact JSON object. */
#ifndef HETSLURM_PLUGIN_RECORD_H
#define HETSLURM_PLUGIN_RECORD_H

#include "plugin_rewrite.h"

enum het_state { HET_STATE_PLACED, HET_STATE_ORDERED, HET_STATE_HELD };

struct het_record {
	enum het_state state;
	uint64_t generation;               /* 0: none was seen */
	const struct het_landing *landing; /* NULL when held */
	const struct het_choice *choice;   /* NULL when held */
	const uint32_t *order_points; /* what the job's short run gained in priority; NULL: no order is set */
	uint32_t pins;
	const char *het;     /* the whole request as a --het string */
	const char *cloud;   /* cloud partitions that the author named; NULL: none */
	const char *comment; /* an admin_comment that was there before; may be NULL */
};

/* Returns the length, or 0 when it does not fit (out is "" then). */
size_t het_render_record(const struct het_record *record, char *out, size_t size);

#endif
