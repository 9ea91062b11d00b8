/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The #HET directives and the --het option: one grammar, one parser.
 *
 * The parser reads untrusted text inside slurmctld. It never allocates, never
 * keeps a pointer into its input, runs in time linear in the bytes it looks at,
 * and looks at no more than HET_MAX_SCAN bytes of a script.
 */
#ifndef HETSLURM_DIRECTIVES_H
#define HETSLURM_DIRECTIVES_H

#include <stddef.h>
#include <stdint.h>

#define HET_MAX_TARGETS 16
#define HET_MAX_DATA 8
#define HET_MAX_NAME 64      /* kind, type, app, name: bytes with the NUL */
#define HET_MAX_URI 256      /* data URI, xclbin: bytes with the NUL */
#define HET_MAX_LINE 4096    /* one #HET line, or one --het directive */
#define HET_MAX_OPTION 16384 /* the whole --het string; every request renders to fewer bytes */
#define HET_MAX_SCAN (4u << 20)

/* Which scalar directives the author wrote (bits of het_request.given). */
enum {
	HET_GIVEN_APP = 1 << 0,
	HET_GIVEN_WORK = 1 << 1,
	HET_GIVEN_OBJECTIVE = 1 << 2,
	HET_GIVEN_DEADLINE = 1 << 3,
	HET_GIVEN_PREEMPTIBLE = 1 << 4,
	HET_GIVEN_BURST = 1 << 5,
	HET_GIVEN_MAX_COST = 1 << 6,
	HET_GIVEN_OFF = 1 << 7, /* --het=off: the script's lines are ignored, the answer is NONE */
};

enum het_objective {
	HET_OBJ_DEFAULT = 0, /* the site's default */
	HET_OBJ_LATENCY,
	HET_OBJ_THROUGHPUT,
	HET_OBJ_COST,
	HET_OBJ_ENERGY,
	HET_OBJ_BALANCED,
	HET_OBJ_WEIGHTS, /* het_request.weight[] */
	HET_OBJ_COUNT
};

enum { HET_W_TIME = 0, HET_W_COST, HET_W_ENERGY, HET_W_COUNT };

enum { HET_BURST_NEVER = 0, HET_BURST_ALLOW, HET_BURST_ONLY };

enum { HET_DEADLINE_NONE = 0, HET_DEADLINE_AT, HET_DEADLINE_IN };

/* One alternative. Everything is per node; 0 means "not given" but for count. */
struct het_target {
	char kind[HET_MAX_NAME];  /* "cpu" or a GRES name */
	char type[HET_MAX_NAME];  /* "" is any type */
	char name[HET_MAX_NAME];  /* "" is KIND[:TYPE]:COUNT */
	char xclbin[HET_MAX_URI]; /* fpga only */
	uint32_t count;           /* devices per node; 0 for cpu, else >= 1 */
	uint32_t nodes;
	uint32_t cpus;   /* per node */
	uint64_t mem_mb; /* per node, rounded up */
	uint32_t time_s; /* the author's limit and expectation */
	uint32_t line;   /* where it was declared; 0 in --het */
};

struct het_data {
	char uri[HET_MAX_URI];
	uint64_t bytes; /* 0: not given */
};

struct het_request {
	uint32_t given; /* HET_GIVEN_* */
	uint32_t n_targets;
	uint32_t n_data;
	struct het_target target[HET_MAX_TARGETS];
	struct het_data data[HET_MAX_DATA];
	char app[HET_MAX_NAME];
	double work; /* > 0 and finite */
	uint8_t objective;
	uint8_t deadline_kind;
	uint8_t preemptible;
	uint8_t burst;
	double weight[HET_W_COUNT]; /* each >= 0, sum 1; HET_OBJ_WEIGHTS only */
	int64_t deadline_s;         /* Unix time, local zone, or seconds from submit */
	int64_t max_cost_micro;     /* millionths of the site's currency */
};

/* Where and why the text was refused. */
struct het_error {
	uint32_t line;   /* 1-based line of the script; 0 in --het */
	uint32_t column; /* 1-based byte of the line or option text */
	char word[HET_MAX_NAME];
	char expected[192];
	char message[384]; /* all of it as one sentence for the author */
};

enum het_parse {
	HET_PARSE_BAD = -1, /* *error is filled, *request is unspecified */
	HET_PARSE_NONE = 0, /* no directive: no target, no data, nothing given but perhaps HET_GIVEN_OFF */
	HET_PARSE_OK = 1,
};

/*
 * Read the directives of one job: the leading #HET lines of script (may be
 * NULL) and the value of --het (may be NULL), which wins: its scalars replace
 * the script's, its targets replace all of the script's targets, its data all
 * of the script's data. "off" alone turns the script's lines off: NONE.
 * A request without a target is an error (there is nothing to choose).
 * script and option need no NUL at their end. Of *request, only the targets and
 * the data items that count are written, those to their last byte.
 */
enum het_parse het_parse(const char *script, size_t script_len, const char *option, size_t option_len,
                         struct het_request *request, struct het_error *error);

/*
 * Write request as a --het string that parses to the same request.
 * Returns its length without the NUL; when that is >= size, out holds nothing
 * of use (as snprintf, but never a partial string: out[0] is NUL).
 */
size_t het_render(const struct het_request *request, char *out, size_t size);

/* Write a target as KIND[:TYPE][:COUNT], e.g. "cpu" or "gpu:a100:1". */
size_t het_render_target(const struct het_target *target, char *out, size_t size);

#endif
