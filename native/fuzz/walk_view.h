/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Follows everything in a checked view that the kernel may follow, for a sanitizer to watch. */
#ifndef HETSLURM_WALK_VIEW_H
#define HETSLURM_WALK_VIEW_H

#include <string.h>

#include "snapshot.h"

static uint64_t het_walk_view(const struct het_view *v)
{
	uint64_t sum = v->slot->generation;

	for (uint32_t i = 0; i < v->n_pools; i++) {
		sum += strlen(v->str + v->pool.name[i]) + strlen(v->str + v->pool.kind_name[i]);
		sum += strlen(v->str + v->pool.type_name[i]) + v->part.hash[v->pool.part[i]];
		for (uint32_t k = 0; k < v->pool.feature_count[i]; k++)
			sum += v->ids[v->pool.feature_first[i] + k];
		for (uint32_t k = 0; k < v->pool.node_count[i]; k++)
			sum += v->ids[v->pool.node_first[i] + k];
		sum += (uint64_t) (v->pool.wait_s[(size_t) i * HET_WAIT_SIZES * HET_WAIT_LENGTHS + 31] / 1e3 +
		                   v->pool.health[i] + 1 / v->pool.speed[i] / 1e9);
		for (uint32_t k = 0; k < v->n_sites; k++)
			sum += (uint64_t) v->link.bytes_per_s[(size_t) k * v->n_pools + i];
	}
	for (uint32_t i = 0; i < v->n_classes; i++)
		sum += v->pool.kind[v->cls.first[i] + v->cls.count[i] - 1];
	for (uint32_t i = 0; i < v->n_parts; i++) {
		sum += strlen(v->str + v->part.name[i]);
		for (uint32_t k = 0; k < v->part.uid_count[i]; k++)
			sum += v->ids[v->part.uid_first[i] + k];
	}
	for (uint32_t i = 0; i < v->n_assocs; i++)
		sum += v->assoc.account[i];
	for (uint32_t i = 0; i < v->n_estimates; i++)
		sum += v->est.key[i] + v->est.source[i] + (uint64_t) (v->est.spread[i] * v->est.trust[i]);
	for (uint32_t i = 0; i < v->n_sites; i++)
		sum += strlen(v->str + v->site.prefix[i]);
	return sum;
}

#endif
