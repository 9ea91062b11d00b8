/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --nodelist and --exclude. */
#ifndef HETSLURM_PLUGIN_NODES_H
#define HETSLURM_PLUGIN_NODES_H

#include "score_types.h"

#define HET_MAX_NODES_NAMED 4096

/*
 * The hashes of a host list's names, each once, rising; out holds HET_MAX_NODES_NAMED. A list past that
 * limit, or of 16 KiB and more, is left to slurmctld. Returns how many.
 */
uint32_t het_hash_nodes(const char *names, uint64_t *out);

/* Give every pool that keeps fewer than `needed` nodes without the excluded ones (rising) its reason in row.
 */
void het_leave_out(const struct het_view *view, const uint64_t *excluded, uint32_t n, int32_t needed,
                   uint32_t *row);

#endif
