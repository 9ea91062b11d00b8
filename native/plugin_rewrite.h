/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a choice to the job_desc: fills in only what the author left open. */
#ifndef HETSLURM_PLUGIN_REWRITE_H
#define HETSLURM_PLUGIN_REWRITE_H

#include "plugin_request.h"
#include "plugin_text.h"

/* A choice with its names, for rewriting, recording and telling. The strings live as long as the view, the
 * request and the landing itself, which must not be copied. */
struct het_landing {
	const struct het_target *target;
	const struct het_alt *alt;
	const char *pool, *partition, *kind, *type; /* type "": it has none */
	const char *label; /* the target's name, else KIND[:TYPE][:COUNT] as declared */
	char label_bytes[HET_MAX_NAME * 3];
	char device[HET_MAX_NAME * 3]; /* KIND[:TYPE][:COUNT] as placed */
	uint32_t limit_min;            /* 0: the partition's default */
	double run_s;
};

/* `choice` must have chosen a pair. */
void het_name_landing(const struct het_view *view, const struct het_request *request,
                      const struct het_alt *alts, const struct het_choice *choice,
                      struct het_landing *landing);

/*
 * Write the landing into the job_desc. It allocates only what it hands to Slurm, through Slurm's allocator,
 * which ends slurmctld when memory is out, as everywhere in Slurm; so it cannot fail half-way.
 */
void het_rewrite(job_desc_msg_t *desc, const struct het_pinned *pinned, const struct het_landing *landing,
                 const char *map);

/* Tell SPANK, by an empty HET_MAP, that this batch job is hetslurm's though it has not landed anywhere yet.
 */
void het_mark_environment(job_desc_msg_t *desc);

/*
 * For SPANK, when slurmctld cannot be asked where the job was moved to: "PARTITION|KIND|TYPE|TARGET|POOL;…",
 * the choice first, then a few other partitions in the author's order of targets.
 */
void het_render_map(const struct het_view *view, const struct het_request *request,
                    const struct het_resolved *resolved, const uint32_t *row, const struct het_choice *choice,
                    struct het_text *map);

#endif
