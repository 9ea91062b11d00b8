/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The --het option of sbatch, salloc and srun, and HET_KIND, HET_TYPE, HET_TARGET and HET_POOL in the running
 * job's environment. Nothing here ever fails a job: what goes wrong is logged.
 *
 * The environment comes from the job's record in slurmctld, asked for once per launch, since a job may have
 * been moved after its submission; HET_MAP, written at submission, answers when slurmctld does not.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <slurm/spank.h>

#include "directives.h"
#include "slurm_compat.h"
#include "spank_environment.h"

/* How SPANK hands the option on: to the job, and through sbatch's own environment. */
#define OPTION_VARIABLE "_SLURM_SPANK_OPTION_hetslurm_het"
#define PASSED_ON_VARIABLE "SLURM_SPANK_" OPTION_VARIABLE

#pragma GCC visibility push(default)
SPANK_PLUGIN(hetslurm, 1)
#pragma GCC visibility pop

/* Whether --het was given to this command, and how often to the component that is being read. */
static int option_taken, times_taken;

/* Refuse bad text where it was typed, before anything is queued. */
static int take_option(int value, const char *text, int remote)
{
	static struct het_request request;
	struct het_error error;

	(void) value;
	option_taken = 1;
	times_taken++;
	if (remote || !text)
		return ESPANK_SUCCESS;
	if (het_parse(NULL, 0, text, strlen(text), &request, &error) != HET_PARSE_BAD)
		return ESPANK_SUCCESS;
	slurm_error("hetslurm: %s", error.message);
	return ESPANK_BAD_ARG;
}

static struct spank_option het_option = {
        .name = "het",
        .arginfo = "DIRECTIVES",
        .usage = "run on the best of several kinds of device, e.g. "
                 "--het='target=gpu:a100:1,time=40:00;target=cpu,cpus=64,time=4:00:00;objective=cost' "
                 "(the #HET lines of a script: ';' between directives, ',' between keys; "
                 "'off' ignores the script's)",
        .has_arg = 1,
        .cb = take_option,
};

/* Outside of a job that we placed, HET_* are somebody else's variables, and stay. */
static void clear_inherited(void)
{
	unsetenv(OPTION_VARIABLE);
	unsetenv(PASSED_ON_VARIABLE);
	if (!getenv("SLURM_JOB_ID") || !getenv("HET_TARGET") || !getenv("HET_POOL"))
		return;
	unsetenv("HET_KIND");
	unsetenv("HET_TYPE");
	unsetenv("HET_TARGET");
	unsetenv("HET_POOL");
	unsetenv("HET_MAP");
}

/*
 * The option is registered, not listed in spank_options[]: sbatch and salloc do not read that table.
 * They start a new job: what a job around them left in the environment is not about it. (srun may run a step
 * of that very job.)
 */
HET_EXPORT int slurm_spank_init(spank_t spank, int argc, char **argv)
{
	spank_context_t context = spank_context();

	(void) argc;
	(void) argv;
	if (context == S_CTX_ALLOCATOR)
		clear_inherited();
	if (context == S_CTX_ALLOCATOR || context == S_CTX_LOCAL || context == S_CTX_REMOTE) {
		if (spank_option_register(spank, &het_option) != ESPANK_SUCCESS)
			slurm_error("hetslurm: --het cannot be offered");
	}
	return ESPANK_SUCCESS;
}

/*
 * srun, once it has an allocation: its tasks inherit its environment. Within a batch script that is right
 * already; slurmctld is asked only for an allocation that srun or salloc made with --het.
 */
HET_EXPORT int slurm_spank_local_user_init(spank_t spank, int argc, char **argv)
{
	uint32_t job_id = 0;

	(void) argc;
	(void) argv;
	if (!option_taken && !getenv(OPTION_VARIABLE))
		return ESPANK_SUCCESS;
	if (spank_get_item(spank, S_JOB_ID, &job_id) == ESPANK_SUCCESS && job_id)
		het_set_where_from_slurmctld(NULL, job_id);
	return ESPANK_SUCCESS;
}

/* What the job was told when it was submitted, by the partition in which it starts. */
static int set_where_from_map(spank_t spank, const char *map)
{
	struct het_where where;
	char partition[256];

	if (spank_getenv(spank, "SLURM_JOB_PARTITION", partition, sizeof(partition)) != ESPANK_SUCCESS ||
	    !het_where_from_map(map, partition, &where))
		return 0;
	het_set_where(spank, &where, "");
	return 1;
}

/* slurmstepd, before any task starts. */
static int set_where_of_step(spank_t spank)
{
	uint32_t job_id = 0, step_id = 0;
	char map[4096] = "";

	if (spank_get_item(spank, S_JOB_ID, &job_id) != ESPANK_SUCCESS ||
	    spank_get_item(spank, S_JOB_STEPID, &step_id) != ESPANK_SUCCESS)
		return ESPANK_SUCCESS;
	if (step_id != SLURM_BATCH_SCRIPT && step_id != SLURM_INTERACTIVE_STEP) {
		/* srun gives what it was told of its own allocation to the first component alone. */
		if (het_set_where_of_component(spank, job_id) != 1 && option_taken &&
		    spank_getenv(spank, "SLURM_HET_SIZE", map, sizeof(map)) == ESPANK_SUCCESS)
			het_set_where_from_slurmctld(spank, job_id);
		return ESPANK_SUCCESS;
	}
	/* Or a nested sbatch, perhaps without our plugin, would take it for its own. */
	spank_unsetenv(spank, OPTION_VARIABLE);
	spank_unsetenv(spank, PASSED_ON_VARIABLE);
	/* Only a job with directives, which has a HET_MAP, is worth a question to slurmctld. */
	if (spank_getenv(spank, "HET_MAP", map, sizeof(map)) != ESPANK_SUCCESS &&
	    step_id == SLURM_BATCH_SCRIPT)
		return ESPANK_SUCCESS;
	if (!het_set_where_from_slurmctld(spank, job_id) && !set_where_from_map(spank, map))
		slurm_info("hetslurm: job %u: where it landed is not known; HET_* stay as submitted", job_id);
	return ESPANK_SUCCESS;
}

/*
 * The options of one component of a heterogeneous job have been read. SPANK passes an option on from each
 * component to the next through the environment, which counts as one more taking; a component that
 * was not given --het itself is not to have it.
 *
 * In slurmstepd this is the last callback before slurmstepd holds its authentication lock (from 23.02 on):
 * to ask slurmctld anything in slurm_spank_user_init ends slurmstepd, and the job with it.
 */
HET_EXPORT int slurm_spank_init_post_opt(spank_t spank, int argc, char **argv)
{
	int given = times_taken > (getenv(PASSED_ON_VARIABLE) ? 1 : 0);

	(void) argc;
	(void) argv;
	times_taken = 0;
	if (spank_context() == S_CTX_REMOTE)
		return set_where_of_step(spank);
	if (given)
		return ESPANK_SUCCESS;
	spank_job_control_unsetenv(spank, OPTION_VARIABLE);
	if (spank_context() != S_CTX_ALLOCATOR)
		return ESPANK_SUCCESS; /* srun's environment is for all components together */
	unsetenv(OPTION_VARIABLE);
	unsetenv(PASSED_ON_VARIABLE);
	return ESPANK_SUCCESS;
}
