/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin_nodes.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "slurm_compat.h"

#define MAX_TEXT 16384 /* slurm_hostlist_shift() moves all that is left */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

	return x < y ? -1 : x > y;
}

/* What lies in a bracket, as "1-4,7": how many numbers. Sets *end to the ] or the NUL. */
static uint64_t count_numbers(const char *at, const char **end)
{
	uint64_t total = 0;

	while (*at && *at != ']') {
		char *after;
		uint64_t first = strtoull(at, &after, 10), last = first;

		if (*after == '-')
			last = strtoull(after + 1, &after, 10);
		total += last >= first && last - first < HET_MAX_NODES_NAMED ? last - first + 1
		                                                             : HET_MAX_NODES_NAMED + 1;
		at = after;
		if (*at && *at != ']')
			at++;
	}
	*end = at;
	return total;
}

/*
 * Whether the list has no more names than we take. Asked first, because Slurm spells out every name of
 * "a[0-60000]b[0-60000]", and ends the process when memory is out.
 */
static int is_short(const char *names)
{
	uint64_t product = 1, total = 1;

	for (; *names; names++) {
		if (*names == ',') {
			product = 1;
			total++;
		} else if (*names == '[') {
			product *= count_numbers(names + 1, &names);
			total += product;
		}
		if (!product || product > HET_MAX_NODES_NAMED || total > 2 * HET_MAX_NODES_NAMED)
			return 0;
		if (!*names)
			return 1;
	}
	return 1;
}

uint32_t het_hash_nodes(const char *names, uint64_t *out)
{
	het_hostlist list;
	uint32_t n = 0, unique = 0;
	char *name;

	if (!names || !*names || strnlen(names, MAX_TEXT) == MAX_TEXT || !is_short(names))
		return 0;
	list = slurm_hostlist_create(names);
	if (!list)
		return 0;
	while (n < HET_MAX_NODES_NAMED && (name = slurm_hostlist_shift(list))) {
		out[n++] = het_hash(name, strlen(name));
		free(name);
	}
	slurm_hostlist_destroy(list);
	qsort(out, n, sizeof(*out), compare);
	for (uint32_t i = 0; i < n; i++)
		if (!i || out[i] != out[i - 1])
			out[unique++] = out[i];
	return unique;
}

void het_leave_out(const struct het_view *view, const uint64_t *excluded, uint32_t n, int32_t needed,
                   uint32_t *row)
{
	for (uint32_t p = 0; n && p < view->n_pools; p++) {
		const uint64_t *node = view->ids + view->pool.node_first[p];
		int64_t left = view->pool.nodes[p];

		for (uint32_t i = 0; i < view->pool.node_count[p]; i++)
			left -= bsearch(&node[i], excluded, n, sizeof(*excluded), compare) != NULL;
		if (left < needed)
			row[p] |= HET_WHY_NODES;
	}
}
