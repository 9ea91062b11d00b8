/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading the snapshot without trusting a byte of it. */
#ifndef HETSLURM_SNAPSHOT_H
#define HETSLURM_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "score_types.h"

/* Why a snapshot is of no use: X(NAME, text) */
/* clang-format off */
#define HET_SNAP_STATUS(X)                                                                                                     \
	X(OK, "fine")                                                                                                          \
	X(ABSENT, "there is no snapshot file")                                                                                 \
	X(OWNER, "the file belongs to another user")                                                                           \
	X(MODE, "others than its owner may write to the file, or it is no regular file")                                      \
	X(SHORT, "the file is shorter than it says")                                                                           \
	X(MAGIC, "this is no hetslurm snapshot")                                                                               \
	X(LAYOUT, "another hetslurm version wrote it")                                                                         \
	X(EMPTY, "nothing was written to it yet")                                                                              \
	X(TORN, "its writer is in the middle of a write")                                                                      \
	X(CHECKSUM, "its checksum does not match")                                                                             \
	X(OFFSETS, "a table lies outside of the file")                                                                         \
	X(VALUES, "a number in it makes no sense")                                                                             \
	X(IO, "it cannot be read")                                                                                             \
	X(BUSY, "every private copy is in use")

enum het_snap {
#define HET_SNAP(NAME, text) HET_SNAP_##NAME,
	HET_SNAP_STATUS(HET_SNAP)
#undef HET_SNAP
	HET_N_SNAP
};
/* clang-format on */

const char *het_snap_text(enum het_snap status);

/* Checksum of n bytes (any alignment); the writer's and the reader's. About 20 GB/s. */
uint64_t het_checksum(const void *bytes, size_t n);

/*
 * Check a private copy of a slot, `size` bytes, 8-byte aligned: checksum, every row count, offset,
 * index, range, string end, sort order and number. On HET_SNAP_OK *view points into it.
 * check_sum 0 leaves the checksum out (for buffers that the caller has just made).
 */
enum het_snap het_view_check(const void *slot, size_t size, int check_sum, struct het_view *view);

/*
 * A reader keeps a few private copies of generations. Threads take and give back copies without
 * a lock: a copy that somebody holds is never written to; whoever first sees a new
 * generation copies it while the others go on with the old one.
 */
struct het_reader;

struct het_held {
	struct het_view view;
	uint64_t *placed_units; /* per pool, doubles as bits: see het_held_place() */
	uint64_t *placed_unit_s;
};

/* NULL when memory is short. The path is copied. owner: the only uid, besides root, whose file is trusted. */
struct het_reader *het_reader_new(const char *path, uid_t owner);
void het_reader_free(struct het_reader *reader);

/*
 * The newest good copy, or NULL and *status. now_ns is CLOCK_REALTIME. A file that goes bad
 * leaves the last good copy in use (it grows stale by its own written_at_ns) with *status
 * saying what is wrong with the file; a missing file is looked for again once a second at most. NULL and BUSY
 * also while another thread copies the very first generation: take once in init().
 */
struct het_held *het_reader_take(struct het_reader *reader, int64_t now_ns, enum het_snap *status);
void het_reader_give(struct het_reader *reader, struct het_held *held);

/*
 * Note that a job was just placed on a pool, so that the next one sees it before the controller does; it is
 * carried into the generations whose controller had not read Slurm yet. Any thread.
 */
void het_held_place(struct het_held *held, uint32_t pool, double units, double unit_s);

#endif
