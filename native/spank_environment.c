/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>

#include "spank_environment.h"

#include <stdio.h>
#include <stdlib.h>

#include "slurm_compat.h"

#define MAX_COMPONENTS 256
#define MAX_VALUE 256

static const char *const names[] = {"HET_KIND", "HET_TYPE", "HET_TARGET", "HET_POOL"};
#define N_NAMES (sizeof(names) / sizeof(*names))

void het_set_where(spank_t spank, const struct het_where *where, const char *suffix)
{
	const char *values[N_NAMES] = {where->kind, where->type, where->target, where->pool};

	for (size_t i = 0; i < N_NAMES; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s%s", names[i], suffix);
		if (spank)
			spank_setenv(spank, name, values[i], 1);
		else
			setenv(name, values[i], 1);
	}
}

int het_set_where_from_slurmctld(spank_t spank, uint32_t job_id)
{
	job_info_msg_t *jobs = NULL;
	struct het_where where;
	int found = 0;

	if (het_load_job(&jobs, job_id) || !jobs)
		return 0;
	for (uint32_t i = 0; i < jobs->record_count; i++) {
		const slurm_job_info_t *job = &jobs->job_array[i];
		char suffix[32];

		if (!het_where_from_record(job->admin_comment, &where))
			continue;
		if (job->het_job_id && job->het_job_id != NO_VAL) {
			snprintf(suffix, sizeof(suffix), "_HET_GROUP_%u", job->het_job_offset);
			het_set_where(spank, &where, suffix);
		}
		if (HET_INFO_JOB_ID(job) == job_id) {
			het_set_where(spank, &where, "");
			found = 1;
		}
	}
	slurm_free_job_info_msg(jobs);
	return found;
}

/* The component's number in the job, by the job ids that Slurm lists; -1: none of them. */
static int component_of(spank_t spank, uint32_t job_id)
{
	char name[64], value[MAX_VALUE];
	long n;

	if (spank_getenv(spank, "SLURM_HET_SIZE", value, sizeof(value)) != ESPANK_SUCCESS)
		return -1;
	n = strtol(value, NULL, 10);
	for (int i = 0; i < n && i < MAX_COMPONENTS; i++) {
		snprintf(name, sizeof(name), "SLURM_JOB_ID_HET_GROUP_%d", i);
		if (spank_getenv(spank, name, value, sizeof(value)) == ESPANK_SUCCESS &&
		    strtoul(value, NULL, 10) == job_id)
			return i;
	}
	return -1;
}

int het_set_where_of_component(spank_t spank, uint32_t job_id)
{
	int component = component_of(spank, job_id), found = 0;
	char name[64], value[MAX_VALUE];

	if (component < 0)
		return -1;
	for (size_t i = 0; i < N_NAMES; i++) {
		snprintf(name, sizeof(name), "%s_HET_GROUP_%d", names[i], component);
		if (spank_getenv(spank, name, value, sizeof(value)) == ESPANK_SUCCESS) {
			spank_setenv(spank, names[i], value, 1);
			found = 1;
		} else {
			spank_unsetenv(spank, names[i]);
		}
	}
	return found;
}
