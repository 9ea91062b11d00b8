/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin_workspace.h"

#include <stdlib.h>

#include "plugin_stats.h"
#include "score.h"

#define N_WORKSPACES 16

static struct het_workspace workspaces[N_WORKSPACES];

struct het_workspace *het_workspace_take(void)
{
	struct het_workspace *extra;

	for (int i = 0; i < N_WORKSPACES; i++) {
		if (!__atomic_load_n(&workspaces[i].busy, __ATOMIC_RELAXED) &&
		    !__atomic_exchange_n(&workspaces[i].busy, 1, __ATOMIC_ACQUIRE))
			return &workspaces[i];
	}
	het_stats_count(HET_STAT_workspaces_exhausted);
	extra = calloc(1, sizeof(*extra));
	if (extra)
		extra->from_heap = 1;
	return extra;
}

static void release(struct het_workspace *workspace)
{
	free(workspace->row);
	free(workspace->scratch);
	workspace->row = NULL;
	workspace->scratch = NULL;
	workspace->row_size = workspace->scratch_size = 0;
}

void het_workspace_give(struct het_workspace *workspace)
{
	if (workspace->from_heap) {
		release(workspace);
		free(workspace);
		return;
	}
	__atomic_store_n(&workspace->busy, 0, __ATOMIC_RELEASE);
}

/* At least `wanted` items at *items, a quarter to spare; 0 or -1. The old content is not kept. */
static int grow(void **items, size_t *size, size_t wanted, size_t item)
{
	void *larger;

	if (wanted <= *size)
		return 0;
	wanted += wanted / 4;
	larger = calloc(wanted, item);
	if (!larger)
		return -1;
	free(*items);
	*items = larger;
	*size = wanted;
	het_stats_count(HET_STAT_workspaces_grown);
	return 0;
}

int het_workspace_fit(struct het_workspace *workspace, uint32_t n_alts, uint32_t n_pools)
{
	size_t scratch = het_score_scratch(n_alts, n_pools);

	if (grow((void **) &workspace->row, &workspace->row_size, n_pools, sizeof(uint32_t)))
		return -1;
	return grow((void **) &workspace->scratch, &workspace->scratch_size, scratch, sizeof(double));
}

void het_workspace_free_all(void)
{
	for (int i = 0; i < N_WORKSPACES; i++)
		release(&workspaces[i]);
}
