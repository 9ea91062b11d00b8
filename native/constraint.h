/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --constraint's expression as an OR of ANDs. */
#ifndef HETSLURM_CONSTRAINT_H
#define HETSLURM_CONSTRAINT_H

#include "score_types.h"

/*
 * Fill author->n_terms, n_features and feature. `&` and `,` bind before `|`; brackets
 * of both kinds group; counts (*N) are dropped. An expression that is malformed,
 * too deep or too wide leaves n_terms 0: it filters nothing, and slurmctld judges it.
 */
void het_constraint(const char *text, struct het_author *author);

#endif
