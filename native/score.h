/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scoring kernel; written in Cython (score.pyx), compiled into the Python
 * extension and into the plugin. No function allocates, blocks or touches Python.
 */
#ifndef HETSLURM_SCORE_H
#define HETSLURM_SCORE_H

#include <stddef.h>
#include <stdint.h>

#include "score_types.h"

/* row[n_pools] gets the HET_WHY_* bits of this author on each pool, the pool's own `reasons` among them. */
void het_admit(const struct het_view *view, const struct het_author *author, uint32_t *row);

/* Smallest k in 0..7 with need * 2^(7-k) <= units; 7 otherwise. */
int het_size_class(double need, double units);

/* How many doubles het_score() wants as scratch. */
size_t het_score_scratch(uint32_t n_alts, uint32_t n_pools);

/* Score every (alternative, pool) of one job and choose. alts: the whole array that job->first_alt indexes.
 */
void het_score(const struct het_view *view, const struct het_job *job, const struct het_alt *alts,
               const uint32_t *row, const struct het_backlog *backlog, double *scratch,
               struct het_choice *choice);

/* het_score() of a pending job. *now gets the terms of its place, its score on the choice's scale; KIND alone
 * where it has none. */
void het_rescore(const struct het_view *view, const struct het_job *job, const struct het_alt *alts,
                 const uint32_t *row, const struct het_backlog *backlog, const struct het_place *place,
                 double *scratch, struct het_choice *choice, struct het_terms *now);

/* The first alternative, in the author's order, that some pool can run; hard filters only, no waits. For
 * stale snapshots. */
void het_order(const struct het_view *view, const struct het_job *job, const struct het_alt *alts,
               const uint32_t *row, struct het_choice *choice);

/* Every term of every pair: terms[n_alts * n_pools], alternative by alternative. For people. */
void het_explain(const struct het_view *view, const struct het_job *job, const struct het_alt *alts,
                 const uint32_t *row, const struct het_backlog *backlog, struct het_terms *terms,
                 struct het_choice *choice);

#endif
