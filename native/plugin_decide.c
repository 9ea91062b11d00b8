/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin_decide.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "order_points.h"
#include "plugin_ahead.h"
#include "plugin_cloud.h"
#include "plugin_message.h"
#include "plugin_stats.h"
#include "score.h"

#define AHEAD_TEXT (64u << 10)
#define AHEAD_POOLS (16u << 10) /* of larger tables, the processor's own prefetchers see a stream */

/* What one decision carries from step to step. */
struct decision {
	const struct het_settings *settings;
	struct het_reader *reader;
	struct het_workspace *workspace;
	job_desc_msg_t *desc;
	uint32_t submit_uid;
	char *cloud; /* the cloud partitions that a burst=only job named; NULL: none */
	struct het_pinned pinned;
	struct het_asked asked;
	struct het_held *held; /* the snapshot; NULL: none */
	enum het_snap status;
	int stale;
	int64_t now_ns;                 /* CLOCK_REALTIME */
	uint64_t lapped_ns;             /* het_stats_now() where the last phase ended */
	uint64_t took_ns[HET_N_PHASES]; /* counted at the end: each is a cache line of its own */
};

/* Whether to reject without a snapshot, by the last snapshot that was good; -1: there was none, the settings
 * decide. */
static int reject_absent = -1;

static int64_t wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

/* One warning a minute, whoever comes first. */
__attribute__((cold)) static void warn(const struct decision *decision, const char *what)
{
	static int64_t next_ns;
	int64_t next = __atomic_load_n(&next_ns, __ATOMIC_RELAXED);

	if (decision->now_ns < next ||
	    !__atomic_compare_exchange_n(&next_ns, &next, decision->now_ns + INT64_C(60000000000), 0,
	                                 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	het_stats_count(HET_STAT_warnings);
	slurm_error("hetslurm: %s (snapshot %s: %s); is the controller running?", what,
	            decision->settings->snapshot, het_snap_text(decision->status));
}

/* A phase ends, and the next starts. */
static void lap(struct decision *decision, int phase)
{
	uint64_t now = het_stats_now();

	decision->took_ns[phase] = now - decision->lapped_ns;
	decision->lapped_ns = now;
}

static void count_times(struct decision *decision)
{
	static const uint8_t parts[] = {HET_PHASE_parse, HET_PHASE_resolve, HET_PHASE_score,
	                                HET_PHASE_rewrite};

	for (size_t i = 0; decision->held && i < sizeof(parts); i++)
		decision->took_ns[HET_PHASE_decision] += decision->took_ns[parts[i]];
	for (int phase = 0; phase < HET_N_PHASES; phase++)
		if (decision->took_ns[phase])
			het_stats_time(phase, decision->took_ns[phase]);
}

static void take_snapshot(struct decision *decision)
{
	decision->now_ns = wall_ns();
	decision->status = HET_SNAP_ABSENT;
	if (decision->reader)
		decision->held = het_reader_take(decision->reader, decision->now_ns, &decision->status);
	het_stats_snapshot(decision->status);
	if (!decision->held) {
		warn(decision, "no snapshot to place jobs by");
	} else {
		const struct het_slot *slot = decision->held->view.slot;

		decision->stale = slot->written_at_ns + slot->max_age_ns < decision->now_ns;
		if (decision->stale)
			warn(decision, "the snapshot is stale");
		else if (decision->status != HET_SNAP_OK)
			warn(decision, "the newest snapshot is of no use, an older copy still is");
		__atomic_store_n(&reject_absent, !!(slot->flags & HET_SLOT_REJECT_ABSENT), __ATOMIC_RELAXED);
	}
	lap(decision, HET_PHASE_take);
}

/* Write the record; its length, or 0 when the request is too long to record. */
static size_t write_record(struct decision *decision, struct het_record *record)
{
	struct het_workspace *workspace = decision->workspace;

	record->pins = decision->pinned.pins;
	record->het = workspace->het;
	record->comment = decision->desc->admin_comment;
	if (het_render(&workspace->request, workspace->het, sizeof(workspace->het)) >= sizeof(workspace->het))
		return 0;
	return het_render_record(record, workspace->record, sizeof(workspace->record));
}

__attribute__((cold)) static int too_long(struct decision *decision)
{
	het_stats_count(HET_STAT_refused_parse);
	snprintf(decision->workspace->message, sizeof(decision->workspace->message),
	         "hetslurm: the directives are too long to be recorded");
	return EINVAL;
}

/* The job waits, otherwise untouched, until the controller places it. */
static int hold(struct decision *decision, const char *message)
{
	struct het_record record = {.state = HET_STATE_HELD, .cloud = decision->cloud};
	size_t recorded;

	het_read_asked(decision->desc, decision->submit_uid, decision->workspace, &decision->pinned,
	               &decision->asked);
	recorded = write_record(decision, &record);
	if (!recorded)
		return too_long(decision);
	het_set_text(&decision->desc->admin_comment, decision->workspace->record, recorded);
	het_mark_environment(decision->desc);
	decision->desc->priority = 0;
	snprintf(decision->workspace->message, sizeof(decision->workspace->message), "%s", message);
	return SLURM_SUCCESS;
}

/* No snapshot: the job waits, or it is turned away. */
__attribute__((cold)) static int without_snapshot(struct decision *decision)
{
	int reject = __atomic_load_n(&reject_absent, __ATOMIC_RELAXED), rc;

	if (reject < 0 ? decision->settings->reject_absent : reject) {
		het_stats_count(HET_STAT_refused_absent);
		snprintf(decision->workspace->message, sizeof(decision->workspace->message),
		         "hetslurm: the cluster's state is not known now (%s); submit again later, or "
		         "without directives",
		         het_snap_text(decision->status));
		return ESLURM_REQUESTED_PART_CONFIG_UNAVAILABLE;
	}
	rc = hold(decision,
	          "hetslurm: held: it will be placed and released when the hetslurm controller is back");
	if (rc == SLURM_SUCCESS)
		het_stats_count(HET_STAT_held);
	return rc;
}

/*
 * burst=only: no pool here is for it, so nothing is scored. A cloud partition that it names goes into the
 * record: no user's job may be queued there, not even held.
 */
__attribute__((cold)) static int hold_for_cloud(struct decision *decision)
{
	job_desc_msg_t *desc = decision->desc;
	int rc;

	if (!decision->settings->cloud[0]) {
		het_stats_count(HET_STAT_refused_cloud);
		snprintf(decision->workspace->message, sizeof(decision->workspace->message),
		         "hetslurm: burst=only, and this cluster has no cloud partition; write burst=allow "
		         "or leave it out");
		return ESLURM_REQUESTED_PART_CONFIG_UNAVAILABLE;
	}
	if (het_names_cloud(decision->settings, desc->partition)) {
		decision->cloud = desc->partition;
		desc->partition = NULL;
	}
	rc = hold(decision, "hetslurm: held: waits for a cloud instance within the budget");
	if (rc == SLURM_SUCCESS) {
		het_stats_count(HET_STAT_held_for_cloud);
		slurm_xfree((void **) &decision->cloud);
	} else if (decision->cloud) {
		desc->partition = decision->cloud;
	}
	return rc;
}

static void choose(const struct decision *decision, const struct het_job *job, struct het_choice *choice)
{
	struct het_workspace *workspace = decision->workspace;
	const struct het_view *view = &decision->held->view;
	const struct het_backlog backlog = {.units = (const double *) decision->held->placed_units,
	                                    .unit_s = (const double *) decision->held->placed_unit_s};

	if (decision->stale)
		het_order(view, job, workspace->resolved.alt, workspace->row, choice);
	else
		het_score(view, job, workspace->resolved.alt, workspace->row, &backlog, workspace->scratch,
		          choice);
}

/* Every pair is out for good: say why, target by target. */
__attribute__((cold)) static int refuse(struct decision *decision)
{
	struct het_workspace *workspace = decision->workspace;
	struct het_job one = workspace->resolved.job;
	struct het_text message = het_text_in(workspace->message, sizeof(workspace->message));

	het_stats_count(HET_STAT_refused_infeasible);
	het_text_add(&message, "hetslurm: nothing here can run this job");
	one.n_alts = 1;
	for (uint32_t a = 0; a < workspace->resolved.job.n_alts; a++) {
		struct het_choice alone;

		one.first_alt = workspace->resolved.job.first_alt + a;
		choose(decision, &one, &alone);
		het_tell_reasons(&workspace->request.target[a], alone.reasons, &message);
	}
	return ESLURM_REQUESTED_NODE_CONFIG_UNAVAILABLE;
}

/* A job that is held, deferred or depends on another takes no place in the queue yet. */
static int may_start(const struct decision *decision)
{
	const job_desc_msg_t *desc = decision->desc;

	return !(decision->pinned.pins & HET_PIN_HOLD) && !(desc->dependency && desc->dependency[0]) &&
	       (int64_t) desc->begin_time <= decision->now_ns / 1000000000;
}

/* Let the next job see this one in the pool's queue before the controller does. */
static void note_backlog(struct decision *decision, const struct het_landing *landing)
{
	const struct het_alt *alt = landing->alt;
	uint32_t pool = (uint32_t) decision->workspace->choice.pool;
	uint32_t at_once = het_array_at_once(decision->desc->array_inx);
	double per = alt->devices > 0 ? alt->devices : alt->cpus;
	double units = per * alt->nodes, tasks = decision->workspace->resolved.job.n_tasks;

	if (tasks < 1)
		tasks = 1;
	/* An array that leaves room for others never blocks them. */
	if (at_once && at_once < tasks && at_once * units < decision->held->view.pool.units[pool])
		tasks = at_once;
	if (landing->run_s < HET_FOREVER && may_start(decision))
		het_held_place(decision->held, pool, units * tasks, units * tasks * landing->run_s);
}

/* Short jobs first, where the site asks for it and waits and runs are fresh. Other plugins and users never
 * set it: slurmctld has just cleared it. */
static void put_order(const struct decision *decision, const struct het_record *record)
{
	if (record->order_points)
		decision->desc->site_factor = NICE_OFFSET + *record->order_points;
}

static int place(struct decision *decision)
{
	struct het_workspace *workspace = decision->workspace;
	const struct het_view *view = &decision->held->view;
	struct het_resolved *resolved = &workspace->resolved;
	struct het_landing landing;
	struct het_record record = {.state = decision->stale ? HET_STATE_ORDERED : HET_STATE_PLACED,
	                            .generation = view->slot->generation,
	                            .landing = &landing,
	                            .choice = &workspace->choice};
	const struct het_slot *slot = view->slot;
	uint32_t points;
	size_t recorded;
	struct het_text map = het_text_in(workspace->map, sizeof(workspace->map));
	struct het_text message = het_text_in(workspace->message, sizeof(workspace->message));

	het_name_landing(view, &workspace->request, resolved->alt, &workspace->choice, &landing);
	if (slot->order_points && !decision->stale) {
		points = het_order_points(landing.run_s, slot->order_points, slot->order_short_s,
		                          slot->order_long_s);
		record.order_points = &points;
	}
	recorded = write_record(decision, &record);
	if (!recorded)
		return too_long(decision);
	het_render_map(view, &workspace->request, &workspace->resolved, workspace->row, &workspace->choice,
	               &map);
	het_rewrite(decision->desc, &decision->pinned, &landing, workspace->map);
	het_set_text(&decision->desc->admin_comment, workspace->record, recorded);
	put_order(decision, &record);
	het_tell_placed(view, &record, &message);
	note_backlog(decision, &landing);
	return SLURM_SUCCESS;
}

static void count_placed(const struct decision *decision)
{
	het_stats_count(decision->stale ? HET_STAT_ordered : HET_STAT_placed);
	if (decision->workspace->choice.tier == HET_TIER_SOFT)
		het_stats_count(HET_STAT_placed_waiting);
}

static int32_t fewest_nodes(const struct het_resolved *resolved)
{
	int32_t fewest = INT32_MAX;

	for (uint32_t a = 0; a < resolved->job.n_alts; a++)
		if (resolved->alt[a].nodes < fewest)
			fewest = resolved->alt[a].nodes;
	return fewest;
}

static int with_snapshot(struct decision *decision)
{
	struct het_workspace *workspace = decision->workspace;
	const struct het_view *view = &decision->held->view;
	int rc;

	het_fetch_ahead(view->pool.part, view->pool.risk + view->n_pools, AHEAD_POOLS);
	het_read_asked(decision->desc, decision->submit_uid, workspace, &decision->pinned, &decision->asked);
	if (decision->asked.gres && !het_names_device(view, &workspace->request, decision->asked.gres))
		decision->pinned.pins &= ~(uint32_t) HET_PIN_GRES;
	het_resolve(view, &workspace->request, &decision->asked, decision->now_ns / 1000000000,
	            &workspace->resolved);
	het_fit_alternatives(view, &workspace->request, &decision->pinned, &workspace->resolved);
	lap(decision, HET_PHASE_resolve);
	if (het_workspace_fit(workspace, workspace->resolved.job.n_alts, view->n_pools)) {
		het_stats_count(HET_STAT_refused_memory);
		snprintf(decision->workspace->message, sizeof(decision->workspace->message),
		         "hetslurm: slurmctld is out of memory");
		return ENOMEM;
	}
	het_admit(view, &workspace->resolved.author, workspace->row);
	het_leave_out(view, workspace->excluded, decision->pinned.n_excluded,
	              fewest_nodes(&workspace->resolved), workspace->row);
	het_leave_cloud_out(decision->settings, view, workspace->row);
	choose(decision, &workspace->resolved.job, &workspace->choice);
	lap(decision, HET_PHASE_score);
	if (workspace->choice.tier == HET_TIER_NONE)
		rc = refuse(decision);
	else
		rc = place(decision);
	lap(decision, HET_PHASE_rewrite);
	if (rc == SLURM_SUCCESS)
		count_placed(decision);
	return rc;
}

int het_decide(const struct het_settings *settings, struct het_reader *reader,
               struct het_workspace *workspace, const struct het_texts *texts, job_desc_msg_t *desc,
               uint32_t submit_uid, char **message)
{
	struct decision decision = {.settings = settings,
	                            .reader = reader,
	                            .workspace = workspace,
	                            .desc = desc,
	                            .submit_uid = submit_uid};
	uint64_t called;
	enum het_parse parsed;
	int rc;

	called = decision.lapped_ns = het_stats_now();
	workspace->message[0] = 0;
	parsed = het_parse(texts->script, texts->script_len, texts->option, texts->option_len,
	                   &workspace->request, &workspace->error);
	if (parsed == HET_PARSE_NONE)
		return het_names_cloud(settings, desc->partition) ? het_refuse_cloud(message) : SLURM_SUCCESS;
	het_fetch_ahead(het_decision_text, het_decision_text_end, AHEAD_TEXT);
	lap(&decision, HET_PHASE_parse);
	het_stats_count(HET_STAT_with_directives);
	if (parsed == HET_PARSE_BAD) {
		het_stats_count(HET_STAT_refused_parse);
		snprintf(workspace->message, sizeof(workspace->message), "hetslurm: %s",
		         workspace->error.message);
		rc = EINVAL;
	} else if (workspace->request.burst == HET_BURST_ONLY) {
		rc = hold_for_cloud(&decision);
	} else if (het_names_cloud(settings, desc->partition)) {
		rc = het_refuse_cloud(message);
	} else {
		take_snapshot(&decision);
		if (decision.held) {
			rc = with_snapshot(&decision);
			het_reader_give(reader, decision.held);
		} else {
			rc = without_snapshot(&decision);
		}
	}
	if (message && workspace->message[0])
		het_tell(message, workspace->message);
	decision.took_ns[HET_PHASE_call] = het_stats_now() - called;
	count_times(&decision);
	return rc;
}
