/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the scoring kernel reads and writes. Plain structs, so that the plugin
 * fills them from a job_desc and Python hands them over as NumPy records.
 */
#ifndef HETSLURM_SCORE_TYPES_H
#define HETSLURM_SCORE_TYPES_H

#include <stdint.h>

#include "reasons.h"
#include "snapshot_layout.h"

#define HET_MAX_PINS 16
#define HET_MAX_TERMS 8
#define HET_MAX_JOB_DATA 8

/* What the pools of a class have in common: see class_floor.h. */
struct het_floor {
	int32_t nodes, cpus, devices, mem_mb, limit_min, max_nodes; /* the least of any */
	int32_t min_nodes;                                          /* the most of any */
};

/*
 * A checked snapshot slot: typed pointers into one contiguous copy. The bytes
 * belong to whoever made the view, and must outlive it.
 */
struct het_view {
	const struct het_slot *slot;
	uint32_t n_pools, n_classes, n_parts, n_assocs, n_estimates, n_sites, n_ids, n_bytes;
#define HET_FIELD(c, np, name, n) const c *name;
	struct {
		HET_POOL_COLUMNS(HET_FIELD)
	} pool;
	struct {
		HET_CLASS_COLUMNS(HET_FIELD)
	} cls;
	struct {
		HET_PART_COLUMNS(HET_FIELD)
	} part;
	struct {
		HET_ASSOC_COLUMNS(HET_FIELD)
	} assoc;
	struct {
		HET_ESTIMATE_COLUMNS(HET_FIELD)
	} est;
	struct {
		HET_SITE_COLUMNS(HET_FIELD)
	} site;
	struct {
		HET_LINK_COLUMNS(HET_FIELD)
	} link;
#undef HET_FIELD
	const uint64_t *ids;
	const char *str;
	const struct het_floor *floor; /* by class; NULL: look at each pool */
};

/* Who submits, and what the command line pinned. Decides admission per pool. */
struct het_author {
	uint32_t uid;
	uint32_t privileged;  /* root or SlurmUser submits: RootOnly admits it */
	uint64_t account;     /* 0: the user's default */
	uint64_t qos;         /* 0: the association's default */
	uint64_t submit_host; /* 0: unknown, admitted everywhere */
	uint32_t has_reservation;
	uint32_t n_partitions;
	uint64_t partition[HET_MAX_PINS];
	/* --constraint as an OR of ANDs of features; n_terms 0: none */
	uint32_t n_terms;
	uint32_t n_features[HET_MAX_TERMS];
	uint64_t feature[HET_MAX_TERMS][HET_MAX_TERMS];
	uint32_t n_nodes; /* --nodelist; `node` belongs to the caller */
	uint32_t reserved;
	const uint64_t *node;
};

/* A target, in the kernel's terms: everything per node but limit and time. */
struct het_alt {
	uint64_t kind;
	uint64_t type;      /* 0: any */
	uint64_t bitstream; /* hash of the xclbin's file name, or of its UUID; 0: none is needed */
	uint64_t class_key; /* het_app_key() or het_user_key(), completed by the pool's type; 0: none */
	uint64_t wider_key; /* the class to ask where that one has no estimate; 0: none */
	double declared_s;  /* run time that the author expects; 0: unknown */
	uint32_t reasons;   /* HET_WHY_GRES_NAMED … that hold for every pool */
	int32_t nodes;      /* >= 1 */
	int32_t cpus;       /* per node, >= 1 */
	int32_t devices;    /* per node; 0 for cpu */
	int32_t mem_mb;     /* per node; 0: the partition's default */
	int32_t limit_min;  /* time limit; 0: the partition's default, not filtered */
};

struct het_job {
	uint32_t first_alt, n_alts; /* range of the alternatives array */
	uint32_t row;               /* which row of admission reasons is its author's */
	uint32_t n_tasks;           /* array size, else 1 */
	struct het_weights weights; /* as given, need not sum to 1 */
	double work;                /* 0: not given */
	double deadline_s;          /* seconds from now; HET_FOREVER: none */
	double max_cost_micro;      /* HET_FOREVER: none */
	uint32_t n_data;
	uint32_t site[HET_MAX_JOB_DATA]; /* row of the links table; UINT32_MAX: unknown place */
	double bytes[HET_MAX_JOB_DATA];
};

/* What was placed since the snapshot was taken, per pool; pointers may be NULL. */
struct het_backlog {
	const double *units;  /* devices or cpus */
	const double *unit_s; /* units x seconds of run */
};

/* Where a pending job is now, and what it has left to wait there by itself: the pool's waits are for a new
 * job, and count this one as one of those ahead. */
struct het_place {
	int32_t alt, pool; /* -1: none */
	double wait_s;     /* below 0: as for a new job */
};

struct het_terms {
	double wait_s, startup_s, transfer_s, run_s, run_high_s, scarce_s, money_micro, energy_j, risk, score;
	uint8_t wait_source, startup_source, transfer_source, run_source, scarce_source, money_source,
	        energy_source, health_source;
	uint32_t reasons;
	int32_t limit_min; /* the time limit that it gets there, grown for a slow device; 0: the partition's
	                    */
};

enum het_tier { HET_TIER_NONE = 0, HET_TIER_SOFT = 1, HET_TIER_FEASIBLE = 2 };

struct het_choice {
	int32_t alt;  /* index within the job's alternatives, -1: none */
	int32_t pool; /* -1: none */
	uint32_t tier;
	uint32_t reasons;       /* of the chosen pair (soft), or why none suits */
	struct het_terms terms; /* of the chosen pair */
};

#endif
