/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a (target, pool) pair is out: the hard filters, a bit each.
 * X(NAME, soft, text). A soft reason may pass with time (a partition comes
 * up, a queue drains), so when every pair that is left has only soft reasons, the best of them is
 * taken and the author is told; a pair with a hard reason is never taken.
 */
#ifndef HETSLURM_REASONS_H
#define HETSLURM_REASONS_H

#define HET_REASONS(X)                                                            \
	X(KIND, 0, "no pool offers this kind and type")                           \
	X(PARTITION_NAMED, 0, "the author named another partition")               \
	X(GRES_NAMED, 0, "the author named another GRES")                         \
	X(CONSTRAINT, 0, "its nodes lack the features that the author asked for") \
	X(NODELIST, 0, "it lacks a node that the author named")                   \
	X(DEVICES, 0, "its nodes have too few devices")                           \
	X(CPUS, 0, "its nodes have too few cpus")                                 \
	X(MEMORY, 0, "its nodes have too little memory")                          \
	X(NODES, 0, "it has too few nodes")                                       \
	X(MAX_NODES, 0, "more nodes than the partition allows")                   \
	X(MIN_NODES, 0, "fewer nodes than the partition demands")                 \
	X(MAX_TIME, 0, "a longer time than the partition allows")                 \
	X(ROOT_ONLY, 0, "the partition is for root")                              \
	X(NO_ROOT, 0, "the partition refuses root")                               \
	X(REQ_RESV, 0, "the partition wants a reservation")                       \
	X(ACCOUNT, 0, "the partition does not admit this account")                \
	X(QOS, 0, "the partition does not admit this QOS")                        \
	X(GROUP, 0, "the partition does not admit this user's groups")            \
	X(SUBMIT_HOST, 0, "the partition does not admit this submit host")        \
	X(ASSOCIATION, 0, "the user has no association with this partition")      \
	X(NO_SUBMIT, 0, "the partition takes no new jobs")                        \
	X(RESIDENCY, 0, "the data must not go there")                             \
	X(MAX_COST, 0, "it would cost more than max_cost")                        \
	X(PARTITION_DOWN, 1, "the partition is down")                             \
	X(NO_NODE_UP, 1, "too few of its nodes are up")                           \
	X(HEALTH, 1, "its nodes are below the health floor")                      \
	X(DEADLINE, 1, "it would finish after the deadline")

enum {
#define HET_WHY(NAME, soft, text) HET_WHY_BIT_##NAME,
	HET_REASONS(HET_WHY)
#undef HET_WHY
	        HET_N_REASONS
};

enum {
#define HET_WHY(NAME, soft, text) HET_WHY_##NAME = 1 << HET_WHY_BIT_##NAME,
	HET_REASONS(HET_WHY)
#undef HET_WHY
};

enum {
	HET_WHY_SOFT = 0
#define HET_WHY(NAME, soft, text) | ((soft) ? HET_WHY_##NAME : 0)
	HET_REASONS(HET_WHY)
#undef HET_WHY
};

_Static_assert(HET_N_REASONS <= 31, "reasons are bits of an int");

#endif
