/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The job_submit plugin's face to slurmctld. What it does with a job is in plugin_decide.c. */
#include <errno.h>
#include <unistd.h>

#include "plugin_cloud.h"
#include "plugin_decide.h"
#include "plugin_dummy.h"
#include "plugin_stats.h"

HET_EXPORT const char plugin_name[] = "hetslurm: one job, several kinds of device";
HET_EXPORT const char plugin_type[] = "job_submit/hetslurm";
HET_EXPORT const uint32_t plugin_version = SLURM_VERSION_NUMBER;

static struct het_settings settings;
static struct het_reader *reader;

/* Never fails: a failing init ends slurmctld. */
HET_EXPORT int init(void)
{
	het_settings_read(&settings);
	het_stats_open(settings.stats);
	reader = het_reader_new(settings.snapshot, getuid());
	if (!reader)
		slurm_error("hetslurm: no memory to read snapshots; jobs with directives will be held");
	return SLURM_SUCCESS;
}

HET_EXPORT int fini(void)
{
	het_stats_close();
	het_reader_free(reader);
	reader = NULL;
	het_workspace_free_all();
	return SLURM_SUCCESS;
}

HET_EXPORT int job_submit(job_desc_msg_t *desc, uint32_t submit_uid, char **message)
{
	struct het_texts texts;
	struct het_workspace *workspace;
	int rc;

	het_stats_count(HET_STAT_seen);
	rc = het_check_dummies(&settings, desc, message);
	if (rc)
		return rc;
	if (!het_find_texts(desc, &texts))
		return het_names_cloud(&settings, desc->partition) ? het_refuse_cloud(message)
		                                                   : SLURM_SUCCESS;
	workspace = het_workspace_take();
	if (!workspace) {
		het_stats_count(HET_STAT_refused_memory);
		return ENOMEM;
	}
	rc = het_decide(&settings, reader, workspace, &texts, desc, submit_uid, message);
	het_workspace_give(workspace);
	return rc;
}

#if HET_MODIFY_HAS_MESSAGE
HET_EXPORT int job_modify(job_desc_msg_t *desc, struct job_record *job, uint32_t submit_uid, char **message)
#else
HET_EXPORT int job_modify(job_desc_msg_t *desc, struct job_record *job, uint32_t submit_uid)
#endif
{
#if !HET_MODIFY_HAS_MESSAGE
	char **message = NULL;
#endif
	int rc;

	(void) job;
	het_stats_count(HET_STAT_modify_calls);
	rc = het_check_cloud_move(&settings, desc->partition, submit_uid, message);
	/* slurmctld's _update_job() takes a stale errno of a job without an association for a failure of
	 * ours. */
	errno = 0;
	return rc;
}
