/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between Slurm 22.05 and 26.05, and the few helpers that
 * slurmctld exports without declaring them in an installed header.
 */
#ifndef HETSLURM_SLURM_COMPAT_H
#define HETSLURM_SLURM_COMPAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <slurm/slurm_version.h>

#define HET_SLURM(major, minor) (SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(major, minor, 0))

/* job_modify() may leave a message for the user. */
#define HET_MODIFY_HAS_MESSAGE HET_SLURM(23, 2)

/* The prefix of a GRES in tres_per_*: the other one is refused. */
#if HET_SLURM(23, 11)
#define HET_GRES_PREFIX "gres/"
typedef hostlist_t *het_hostlist;
#else
#define HET_GRES_PREFIX "gres:"
typedef hostlist_t het_hostlist;
#endif

/* A job's id in what slurm_load_job() returns. */
#if HET_SLURM(25, 11)
#define HET_INFO_JOB_ID(info) ((info)->step_id.job_id)
#else
#define HET_INFO_JOB_ID(info) ((info)->job_id)
#endif

/* One job's records. */
static inline int het_load_job(job_info_msg_t **jobs, uint32_t job_id)
{
#if HET_SLURM(26, 5)
	slurm_step_id_t id = SLURM_STEP_ID_INITIALIZER;

	id.job_id = job_id;
	return slurm_load_job(jobs, id, 0);
#else
	return slurm_load_job(jobs, job_id, 0);
#endif
}

/* What Slurm looks up by name; all else is hidden. */
#define HET_EXPORT __attribute__((visibility("default")))

/* Private to slurmctld: only ever seen as a pointer. */
struct job_record;

/* Slurm's allocator: what a job_desc owns must come from it. They abort slurmctld when memory is out, as
 * Slurm does. */
extern void *slurm_xcalloc(size_t count, size_t size, bool clear, bool may_fail, const char *file, int line,
                           const char *function);
extern char *slurm_xstrdup(const char *text);
extern void slurm_xfree(void **item);
extern void *slurm_xrecalloc(void **item, size_t count, size_t size, bool clear, bool may_fail,
                             const char *file, int line, const char *function);

extern void slurm_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern void slurm_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Memory for a string of n bytes and its NUL, not cleared. */
static inline char *het_new_text(size_t n)
{
	return slurm_xcalloc(1, n + 1, false, false, __FILE__, __LINE__, __func__);
}

/* Replace the string at *field by the first n bytes of text, which end there with a NUL. */
static inline void het_set_text(char **field, const char *text, size_t n)
{
	char *copy = memcpy(het_new_text(n), text, n + 1);

	if (*field)
		slurm_xfree((void **) field);
	*field = copy;
}

#endif
