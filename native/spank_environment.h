/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HET_KIND, HET_TYPE, HET_TARGET and HET_POOL, as a job finds them; and for a heterogeneous job the same with
 * Slurm's own suffix _HET_GROUP_<n> for each component, from which its steps take theirs.
 */
#ifndef HETSLURM_SPANK_ENVIRONMENT_H
#define HETSLURM_SPANK_ENVIRONMENT_H

#include <stdint.h>

#include <slurm/spank.h>

#include "spank_landing.h"

/* Set them; spank NULL: in this process (srun), else in the job. suffix "" or "_HET_GROUP_<n>". */
void het_set_where(spank_t spank, const struct het_where *where, const char *suffix);

/* Ask slurmctld once where the job, and every component that it leads, landed, and set that. 1, or 0: not
 * known. */
int het_set_where_from_slurmctld(spank_t spank, uint32_t job_id);

/*
 * In a step of a heterogeneous job: the variables of its own component. 1; 0 when its component has none, and
 * the step then has none; -1 when this is no heterogeneous job.
 */
int het_set_where_of_component(spank_t spank, uint32_t job_id);

#endif
