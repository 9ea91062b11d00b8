/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what the author wrote (a het_request) and what the command line fixed
 * (a het_asked) to what the kernel reads. The plugin, `hetslurm explain` and the controller share this.
 */
#ifndef HETSLURM_RESOLVE_H
#define HETSLURM_RESOLVE_H

#include "directives.h"
#include "score_types.h"

/* Slurm's own options, as the author gave them: NULL and 0 mean "left open". Strings belong to the caller. */
struct het_asked {
	uint32_t uid;
	uint32_t privileged;
	const char *account;
	const char *qos;
	const char *partition;  /* comma list */
	const char *constraint; /* --constraint's expression */
	const char *gres; /* every tres_per_* that names a GRES, comma list, any prefix (gres:, gres/); counts
	                     per node */
	const char *submit_host;
	const uint64_t *node; /* hashes of --nodelist */
	uint32_t n_nodes_named;
	uint32_t has_reservation;
	int32_t nodes;     /* --nodes (minimum) */
	int32_t cpus;      /* per node, from -c, -n, --ntasks-per-node */
	int32_t mem_mb;    /* per node */
	int32_t limit_min; /* --time */
	uint32_t n_tasks;  /* of an array; 0 is 1 */
};

struct het_resolved {
	struct het_author author;
	struct het_job job;
	struct het_alt alt[HET_MAX_TARGETS];
};

/*
 * Never fails: an expression that is not understood filters nothing (slurmctld judges it),
 * a pin past HET_MAX_PINS is left out only by admitting no more partitions. now_s: Unix time, for absolute
 * deadlines. resolved->author.node points to asked->node.
 * A GRES type that the author named also holds for a target that names none.
 * Of alt[], the job's alternatives are written, and no more.
 */
void het_resolve(const struct het_view *view, const struct het_request *request,
                 const struct het_asked *asked, int64_t now_s, struct het_resolved *resolved);

/*
 * Whether asked.gres fixes the device: it names a kind that a target or a pool has, or "none". Scratch
 * space and the like do not, and stay beside the device.
 */
int het_names_device(const struct het_view *view, const struct het_request *request, const char *gres);

/*
 * Set the alternatives' class_key and wider_key, again after their nodes, cpus, devices or limit changed. A
 * job with an app is of that class and no other.
 */
void het_set_classes(const struct het_request *request, struct het_resolved *resolved);

/* The class of an app on a kind, hash(app NUL kind NUL), 0 without an app; and a class with the type added.
 */
uint64_t het_app_key(const char *app, const char *kind);

/*
 * The class of a user's jobs without an app on a kind (its hash), and of so many units (devices, or cpus, of
 * all nodes) with such a limit; 0 and 0: all of them. Never 0.
 */
static inline uint64_t het_user_key(uint32_t uid, uint64_t kind, uint32_t units, uint32_t limit_min)
{
	uint64_t k = (kind ^ uid ^ UINT64_C(0x7573657200000000)) * UINT64_C(0xbf58476d1ce4e5b9);

	k = (k ^ (k >> 31) ^ ((uint64_t) units << 32 | limit_min)) * UINT64_C(0x94d049bb133111eb);
	k ^= k >> 29;
	return k ? k : 1;
}

static inline uint64_t het_estimate_key(uint64_t class_key, uint64_t type)
{
	uint64_t k = (class_key ^ type) * UINT64_C(0x9e3779b97f4a7c15);
	return k ^ (k >> 32);
}

#endif
