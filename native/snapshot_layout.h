/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot's layout, declared once. C gets its structs and column indexes
 * from the lists below; Python gets the same lists through layout_fields() and
 * builds its NumPy columns from them. Change anything here, and
 * HET_LAYOUT_VERSION must rise.
 *
 * File:  struct het_file | slot 0 | slot 1         (slot_size bytes each)
 * Slot:  struct het_slot | columns, each 64-byte aligned, offsets from the slot's start
 *
 * The writer fills the slot that is not active, and then flips `active`. The
 * checksum covers the slot's bytes [HET_SUM_START, used). A reader copies a slot out,
 * checks the copy, and scores against the copy alone.
 */
#ifndef HETSLURM_SNAPSHOT_LAYOUT_H
#define HETSLURM_SNAPSHOT_LAYOUT_H

#include <stdint.h>

#define HET_MAGIC UINT64_C(0x3150414e53544548) /* "HETSNAP1", little-endian */
#define HET_LAYOUT_VERSION 2
#define HET_ALIGN 64
#define HET_MAX_POOLS 65536
#define HET_MAX_SLOT (256u << 20)
#define HET_WAIT_SIZES 8
#define HET_WAIT_LENGTHS 4 /* classes of a job's limit: length_class.h has their bounds */
#define HET_NO_PARTITION UINT32_MAX
#define HET_MAX_ORDER_POINTS 1000000000u
#define HET_FOREVER 1e15 /* "never": seconds, and any other number past sense */

/* Estimate sources, worst first, so that the least of several is the honest one. */
enum het_source { HET_DEFAULT = 0, HET_DECLARED, HET_PREDICTED, HET_MEASURED };

/* het_part.flags */
enum {
	HET_PART_ROOT_ONLY = 1 << 0,
	HET_PART_NO_ROOT = 1 << 1,
	HET_PART_REQ_RESV = 1 << 2,
	HET_PART_ALLOW_ACCOUNT = 1 << 3, /* the list decides, even when it is empty */
	HET_PART_DENY_ACCOUNT = 1 << 4,
	HET_PART_ALLOW_QOS = 1 << 5,
	HET_PART_DENY_QOS = 1 << 6,
	HET_PART_ALLOW_UID = 1 << 7,  /* AllowGroups, resolved to uids */
	HET_PART_ALLOW_HOST = 1 << 8, /* AllocNodes */
	HET_PART_NO_SUBMIT = 1 << 9,  /* DRAIN or INACTIVE: slurmctld refuses */
	HET_PART_DOWN = 1 << 10,      /* DOWN: accepted, does not start */
};

/* het_slot.flags */
enum {
	HET_SLOT_ASSOCIATIONS = 1 << 0,  /* AccountingStorageEnforce has associations */
	HET_SLOT_REJECT_ABSENT = 1 << 1, /* on_absent = "reject" */
};

/* clang-format off */

/*
 * Pool columns: X(C type, NumPy type, name, per-pool count). A count above 1 is that many columns on end,
 * so that pools of alike size read alike memory.
 */
#define HET_POOL_COLUMNS(X)                                                                                                    \
	X(uint64_t, "u8", kind, 1)		/* hash of "cpu" or the GRES name */                                           \
	X(uint64_t, "u8", type, 1)		/* hash of the GRES type; 0: it has none */                                    \
	X(uint32_t, "u4", name, 1)		/* offsets into strings; each ends with a NUL */                               \
	X(uint32_t, "u4", kind_name, 1)                                                                                        \
	X(uint32_t, "u4", type_name, 1)                                                                                        \
	X(uint32_t, "u4", part, 1)		/* index of its partition */                                                   \
	X(uint32_t, "u4", reasons, 1)		/* HET_WHY_* that hold for every job (partition down, no node up, health) */   \
	X(int32_t, "i4", nodes, 1)		/* nodes it has, whatever their state */                                       \
	X(int32_t, "i4", cpus_per_node, 1)                                                                                     \
	X(int32_t, "i4", devices_per_node, 1)	/* 0 for cpu */                                                                \
	X(int32_t, "i4", mem_mb_per_node, 1)                                                                                   \
	X(int32_t, "i4", limit_min, 1)		/* MaxTime in minutes; INT32_MAX: none */                                      \
	X(int32_t, "i4", min_nodes, 1)                                                                                         \
	X(int32_t, "i4", max_nodes, 1)		/* INT32_MAX: none */                                                          \
	X(int32_t, "i4", max_cpus_per_node, 1)	/* INT32_MAX: none */                                                          \
	X(int32_t, "i4", max_mem_mb_per_node, 1)/* INT32_MAX: none */                                                          \
	X(uint32_t, "u4", feature_first, 1)	/* range of ids[]: hashes of node features */                                  \
	X(uint32_t, "u4", feature_count, 1)                                                                                    \
	X(uint32_t, "u4", node_first, 1)	/* range of ids[]: hashes of node names, sorted */                             \
	X(uint32_t, "u4", node_count, 1)                                                                                       \
	X(double, "f8", units, 1)		/* devices (cpus for a cpu pool) on usable nodes */                            \
	X(double, "f8", units_free, 1)                                                                                         \
	X(double, "f8", startup_s, 1)                                                                                          \
	X(uint64_t, "u8", bitstream, 1)		/* hash of the name of what its cards have loaded; 0: unknown */               \
	X(uint64_t, "u8", bitstream_id, 1)	/* hash of its UUID; 0: unknown */                                             \
	X(double, "f8", bitstream_s, 1)		/* what loading another one adds to startup_s */                               \
	X(double, "f8", speed, 1)		/* > 0; 1 is the class's reference */                                          \
	X(double, "f8", price_cpu, 1)		/* millionths of the currency per second of one */                             \
	X(double, "f8", price_device, 1)                                                                                       \
	X(double, "f8", price_node, 1)                                                                                         \
	X(double, "f8", watt_cpu, 1)                                                                                           \
	X(double, "f8", watt_device, 1)                                                                                        \
	X(double, "f8", watt_node, 1)                                                                                          \
	X(double, "f8", shadow, 1)		/* shadow price: s of others per second of a unit */                        \
	X(double, "f8", health, 1)		/* [0, 1] */                                                                   \
	X(double, "f8", risk, 1)		/* >= 1: multiplies the score */                                               \
	X(double, "f8", wait_s, HET_WAIT_SIZES * HET_WAIT_LENGTHS) /* [(size * lengths + length) * pools + pool] */    \
	X(uint8_t, "u1", wait_source, 1)                                                                                       \
	X(uint8_t, "u1", startup_source, 1)                                                                                    \
	X(uint8_t, "u1", bitstream_source, 1)                                                                                  \
	X(uint8_t, "u1", speed_source, 1)                                                                                      \
	X(uint8_t, "u1", price_source, 1)                                                                                      \
	X(uint8_t, "u1", watt_source, 1)                                                                                       \
	X(uint8_t, "u1", shadow_source, 1)                                                                                     \
	X(uint8_t, "u1", health_source, 1)

/* Pools are sorted by (kind, type), so that a target's pools are one range. */
#define HET_CLASS_COLUMNS(X)                                                                                                   \
	X(uint64_t, "u8", kind, 1)                                                                                             \
	X(uint64_t, "u8", type, 1)                                                                                             \
	X(uint32_t, "u4", first, 1)                                                                                            \
	X(uint32_t, "u4", count, 1)

/* Ranges are of ids[]; each range is sorted. */
#define HET_PART_COLUMNS(X)                                                                                                    \
	X(uint64_t, "u8", hash, 1)                                                                                             \
	X(uint32_t, "u4", name, 1)                                                                                             \
	X(uint32_t, "u4", flags, 1)                                                                                            \
	X(uint32_t, "u4", account_first, 1)	/* AllowAccounts, else DenyAccounts, by the flag */                            \
	X(uint32_t, "u4", account_count, 1)                                                                                    \
	X(uint32_t, "u4", qos_first, 1)		/* AllowQos, else DenyQos, by the flag */                                      \
	X(uint32_t, "u4", qos_count, 1)                                                                                        \
	X(uint32_t, "u4", uid_first, 1)                                                                                        \
	X(uint32_t, "u4", uid_count, 1)                                                                                        \
	X(uint32_t, "u4", host_first, 1)                                                                                       \
	X(uint32_t, "u4", host_count, 1)

/* Associations, sorted by (uid, account, part). */
#define HET_ASSOC_COLUMNS(X)                                                                                                   \
	X(uint32_t, "u4", uid, 1)                                                                                              \
	X(uint32_t, "u4", part, 1)		/* HET_NO_PARTITION: any */                                                    \
	X(uint64_t, "u8", account, 1)                                                                                          \
	X(uint64_t, "u8", default_qos, 1)	/* 0: none */                                                                  \
	X(uint32_t, "u4", is_default, 1)	/* the user's default account */

/*
 * Run estimates on a device of speed 1, sorted by key = het_estimate_key(class, type); a class is het_app_key()
 * or het_user_key().
 */
#define HET_ESTIMATE_COLUMNS(X)                                                                                                \
	X(uint64_t, "u8", key, 1)                                                                                              \
	X(double, "f8", mean_s, 1)		/* seconds, or seconds per unit of work */                                     \
	X(double, "f8", spread, 1)		/* >= 1: the 90 % quantile over the mean */                                     \
	X(double, "f8", trust, 1)		/* [0, 1]: the rest is the declared time, in log space */                      \
	X(double, "f8", log_sd, 1)                                                                                             \
	X(uint32_t, "u4", n, 1)                                                                                                \
	X(uint8_t, "u1", per_work, 1)                                                                                          \
	X(uint8_t, "u1", source, 1)

/* Where data lives: a job's data URI belongs to the longest prefix that fits. */
#define HET_SITE_COLUMNS(X)                                                                                                    \
	X(uint32_t, "u4", prefix, 1)		/* strings */

/* [sites x pools], row by row. */
#define HET_LINK_COLUMNS(X)                                                                                                    \
	X(double, "f8", bytes_per_s, 1)		/* 0: this data must not go there */                                           \
	X(double, "f8", egress, 1)		/* millionths of the currency per byte */

#define HET_ID_COLUMNS(X) X(uint64_t, "u8", id, 1)
#define HET_STRING_COLUMNS(X) X(char, "S1", byte, 1)

/* Tables: X(name, columns, index of its row count in het_slot.rows) */
#define HET_TABLES(X)                                                                                                          \
	X(pool, HET_POOL_COLUMNS, 0)                                                                                           \
	X(cls, HET_CLASS_COLUMNS, 1)                                                                                           \
	X(part, HET_PART_COLUMNS, 2)                                                                                           \
	X(assoc, HET_ASSOC_COLUMNS, 3)                                                                                         \
	X(est, HET_ESTIMATE_COLUMNS, 4)                                                                                        \
	X(site, HET_SITE_COLUMNS, 5)                                                                                           \
	X(link, HET_LINK_COLUMNS, 6)                                                                                           \
	X(ids, HET_ID_COLUMNS, 7)                                                                                              \
	X(str, HET_STRING_COLUMNS, 8)
enum { HET_N_TABLES = 9 };

/* Every column's index: HET_COL_<table>_<name>, in the order of the lists. */
enum {
#define HET_COL(c, np, name, n) HET_COL_POOL_##name,
	HET_POOL_COLUMNS(HET_COL)
#undef HET_COL
#define HET_COL(c, np, name, n) HET_COL_CLS_##name,
	HET_CLASS_COLUMNS(HET_COL)
#undef HET_COL
#define HET_COL(c, np, name, n) HET_COL_PART_##name,
	HET_PART_COLUMNS(HET_COL)
#undef HET_COL
#define HET_COL(c, np, name, n) HET_COL_ASSOC_##name,
	HET_ASSOC_COLUMNS(HET_COL)
#undef HET_COL
#define HET_COL(c, np, name, n) HET_COL_EST_##name,
	HET_ESTIMATE_COLUMNS(HET_COL)
#undef HET_COL
#define HET_COL(c, np, name, n) HET_COL_SITE_##name,
	HET_SITE_COLUMNS(HET_COL)
#undef HET_COL
#define HET_COL(c, np, name, n) HET_COL_LINK_##name,
	HET_LINK_COLUMNS(HET_COL)
#undef HET_COL
#define HET_COL(c, np, name, n) HET_COL_IDS_##name,
	HET_ID_COLUMNS(HET_COL)
#undef HET_COL
#define HET_COL(c, np, name, n) HET_COL_STR_##name,
	HET_STRING_COLUMNS(HET_COL)
#undef HET_COL
	HET_N_COLUMNS
};

/* clang-format on */

/* Indexes of het_slot.preset: the weights behind each named objective. */
enum {
	HET_PRESET_LATENCY = 0,
	HET_PRESET_THROUGHPUT,
	HET_PRESET_COST,
	HET_PRESET_ENERGY,
	HET_PRESET_BALANCED,
	HET_N_PRESETS
};

struct het_weights {
	double time, cost, energy;
	double scarcity; /* mu */
};

struct het_slot {
	uint64_t checksum;
	uint64_t generation;   /* > 0, rises with every write; the checksum starts here */
	int64_t written_at_ns; /* CLOCK_REALTIME */
	int64_t max_age_ns;
	int64_t read_at_ns; /* CLOCK_REALTIME when the controller began to read Slurm */
	uint64_t used;      /* bytes of the slot in use */
	uint32_t flags;
	uint32_t default_part;      /* index, or HET_NO_PARTITION */
	uint32_t default_objective; /* HET_PRESET_* */
	uint32_t order_points;      /* most that a short job gains in priority; 0: off */
	double order_short_s, order_long_s;
	struct het_weights preset[HET_N_PRESETS];
	char currency[16];
	char cluster[64];
	uint32_t rows[16];   /* by table */
	uint64_t offset[96]; /* by column, from the slot's start */
};
#define HET_SUM_START 8

struct het_file {
	uint64_t magic;
	uint32_t layout_version;
	uint32_t header_size; /* sizeof(struct het_file) */
	uint64_t slot_size;
	uint32_t active;        /* 0 or 1, written last */
	uint32_t superseded;    /* 1: a newer file lies at this path: open it again */
	uint64_t generation[2]; /* of each slot; 0 while it is being written */
	uint8_t reserved[16];
};

_Static_assert(HET_N_COLUMNS <= 96, "het_slot.offset is too small");
_Static_assert(sizeof(struct het_file) == 64, "the file header is one cache line");

#endif
