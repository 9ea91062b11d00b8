/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading a job_desc: the directives in it, and what its author fixed on the command line. */
#ifndef HETSLURM_PLUGIN_REQUEST_H
#define HETSLURM_PLUGIN_REQUEST_H

#include "plugin_workspace.h"
#include "slurm_compat.h"

/* What the author fixed, and the plugin therefore leaves alone. */
enum {
	HET_PIN_PARTITION = 1 << 0,
	HET_PIN_GRES = 1 << 1,
	HET_PIN_CPUS = 1 << 2,
	HET_PIN_MEMORY = 1 << 3,
	HET_PIN_TIME = 1 << 4,
	HET_PIN_NODES = 1 << 5,
	HET_PIN_HOLD = 1 << 6,
	HET_PIN_TASKS = 1 << 7,
};

/* The letters of the record's "pins", in the order of the bits. */
#define HET_PIN_LETTERS "pgcmtnhk"

struct het_pinned {
	uint32_t pins;           /* HET_PIN_* */
	uint32_t tasks;          /* -n; 0: open */
	uint32_t tasks_per_node; /* --ntasks-per-node; 0: open */
	uint32_t cpus_per_task;  /* -c; 0: open */
	uint64_t mem_per_cpu_mb; /* --mem-per-cpu; 0: not by cpu */
	uint32_t n_excluded;     /* --exclude, in the workspace */
	char account[128];
};

/* Pointers into the job_desc. */
struct het_texts {
	const char *script, *option; /* NULL: there is none */
	size_t script_len, option_len;
};

/* Where directives may be; 0 when the job can have none. */
int het_find_texts(const job_desc_msg_t *desc, struct het_texts *texts);

/*
 * What the command line fixed. *asked points into desc, pinned and workspace (gres, node), which must outlive
 * it.
 */
void het_read_asked(const job_desc_msg_t *desc, uint32_t submit_uid, struct het_workspace *workspace,
                    struct het_pinned *pinned, struct het_asked *asked);

/*
 * Sharpen what depends on both the target and the command line: -n without -N or -c, and memory per cpu.
 */
void het_fit_alternatives(const struct het_view *view, const struct het_request *request,
                          const struct het_pinned *pinned, struct het_resolved *resolved);

/* Tasks in an array expression such as "0-15:4%2,20"; 0 for NULL or nonsense, at most 4 million. */
uint32_t het_array_size(const char *expression);

/* Its limit of tasks at a time ("%2"); 0: none. */
uint32_t het_array_at_once(const char *expression);

#endif
