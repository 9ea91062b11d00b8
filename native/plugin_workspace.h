/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that one decision works in. A fixed number of workspaces is taken and
 * given back without a lock, so that concurrent submits neither wait nor allocate.
 */
#ifndef HETSLURM_PLUGIN_WORKSPACE_H
#define HETSLURM_PLUGIN_WORKSPACE_H

#include <stdint.h>

#include "plugin_nodes.h"
#include "resolve.h"

#define HET_MAX_GRES_TEXT 2048
#define HET_MAX_HET_TEXT 24576
#define HET_MAX_RECORD 65536
#define HET_MAX_MESSAGE 1024
#define HET_MAX_MAP 1024

/* What every decision touches comes first. */
struct het_workspace {
	int busy;      /* atomic */
	int from_heap; /* freed, not given back */
	uint32_t *row; /* grown by het_workspace_fit() */
	double *scratch;
	size_t row_size, scratch_size;
	struct het_choice choice;
	char message[HET_MAX_MESSAGE]; /* for the author; empty: none */
	char map[HET_MAX_MAP];
	struct het_request request;
	struct het_resolved resolved;
	char gres[HET_MAX_GRES_TEXT];
	uint64_t node[HET_MAX_NODES_NAMED], excluded[HET_MAX_NODES_NAMED];
	char het[HET_MAX_HET_TEXT];
	char record[HET_MAX_RECORD];
	struct het_error error;
};

/* Never blocks. NULL only when all are in use and the heap is empty. */
struct het_workspace *het_workspace_take(void);
void het_workspace_give(struct het_workspace *workspace);

/* Make row and scratch large enough; 0, or -1 when memory is short. */
int het_workspace_fit(struct het_workspace *workspace, uint32_t n_alts, uint32_t n_pools);

/* Free what the static workspaces have grown; only when no thread is inside the plugin. */
void het_workspace_free_all(void);

#endif
