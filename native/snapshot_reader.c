/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private copies of the snapshot's generations, handed out without a lock.
 *
 * `current` names the copy to take. A taker counts itself in, and looks again: when the copy is
 * still current, it stays as it is until the taker gives it back, since the refresher (whoever holds
 * `refreshing`) writes only to a copy that is not current and whose count it could move from 0 to WRITING.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "class_floor.h"
#include "placements.h"
#include "snapshot.h"

#define N_COPIES 4
#define NONE (-1)
#define WRITING 0x40000000
#define TRIES 4
#define LOOK_NS INT64_C(1000000000)

struct copy {
	struct het_held held; /* first: what takers get is a pointer to it */
	struct het_reader *reader;
	atomic_int holders;
	struct het_floor *floors;
	unsigned char *bytes;
	size_t room;
};

struct het_reader {
	atomic_int current;
	atomic_int status; /* of the newest look at the file */
	atomic_flag refreshing;
	struct copy copy[N_COPIES];
	struct het_placements placements;

	/* The refresher's own: */
	char *path;
	uid_t owner;
	int fd; /* -1: none */
	dev_t device;
	ino_t inode;
	enum het_snap opened;  /* why there is no fd */
	int superseded;        /* this file said so when it was opened: look again at leisure */
	int suspect;           /* its header made no sense: open the path again when that is due */
	uint64_t seen;         /* the newest generation copied or refused; 0: none of this file */
	enum het_snap verdict; /* on it */
	int64_t looked_ns;     /* at the path */
};

static enum het_snap read_at(int fd, void *to, size_t n, off_t at)
{
	unsigned char *p = to;

	while (n) {
		ssize_t got = pread(fd, p, n, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return HET_SNAP_IO;
		if (got == 0)
			return HET_SNAP_SHORT;
		p += got;
		at += got;
		n -= (size_t) got;
	}
	return HET_SNAP_OK;
}

static enum het_snap trust(const struct het_reader *reader, const struct stat *st)
{
	if (!S_ISREG(st->st_mode) || (st->st_mode & (S_IWGRP | S_IWOTH)))
		return HET_SNAP_MODE;
	return st->st_uid == reader->owner || st->st_uid == 0 ? HET_SNAP_OK : HET_SNAP_OWNER;
}

static void close_file(struct het_reader *reader)
{
	if (reader->fd >= 0)
		close(reader->fd);
	reader->fd = -1;
}

/* Open what lies at the path now. O_NONBLOCK: a FIFO put there must not stop slurmctld. */
static void open_file(struct het_reader *reader)
{
	struct stat st;
	int fd;

	close_file(reader);
	reader->seen = 0;
	reader->verdict = HET_SNAP_OK;
	reader->superseded = 0;
	reader->suspect = 0;
	fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		reader->opened = errno == ENOENT || errno == ENOTDIR ? HET_SNAP_ABSENT
		                 : errno == ELOOP || errno == ENXIO  ? HET_SNAP_MODE
		                                                     : HET_SNAP_IO;
		return;
	}
	reader->opened = fstat(fd, &st) ? HET_SNAP_IO : trust(reader, &st);
	if (reader->opened != HET_SNAP_OK) {
		close(fd);
		return;
	}
	reader->device = st.st_dev;
	reader->inode = st.st_ino;
	reader->fd = fd;
}

/* Does the path still lead to the file that is open, and would it be trusted today? */
static int same_file(const struct het_reader *reader)
{
	struct stat st;

	return !fstatat(AT_FDCWD, reader->path, &st, AT_SYMLINK_NOFOLLOW) && st.st_dev == reader->device &&
	       st.st_ino == reader->inode && trust(reader, &st) == HET_SNAP_OK;
}

static enum het_snap read_header(const struct het_reader *reader, struct het_file *header)
{
	enum het_snap status = read_at(reader->fd, header, sizeof(*header), 0);

	if (status != HET_SNAP_OK)
		return status;
	if (header->magic != HET_MAGIC)
		return HET_SNAP_MAGIC;
	if (header->layout_version != HET_LAYOUT_VERSION || header->header_size != sizeof(*header))
		return HET_SNAP_LAYOUT;
	if (header->slot_size % HET_ALIGN || header->slot_size < sizeof(struct het_slot) ||
	    header->slot_size > HET_MAX_SLOT || header->active > 1)
		return HET_SNAP_OFFSETS;
	if (!header->generation[header->active])
		return header->generation[!header->active] ? HET_SNAP_TORN : HET_SNAP_EMPTY;
	return HET_SNAP_OK;
}

/* Make room for a slot of `used` bytes, two numbers per pool and the floors of its classes, which are no more
 * than its pools. The copy must be WRITING. */
static enum het_snap make_room(struct copy *copy, size_t used, size_t n_pools)
{
	size_t placed_at = (used + HET_ALIGN - 1) & ~(size_t) (HET_ALIGN - 1);
	size_t room = placed_at + n_pools * (2 * sizeof(uint64_t) + sizeof(struct het_floor));

	if (room > copy->room) {
		void *bytes = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (bytes == MAP_FAILED)
			return HET_SNAP_IO;
		if (copy->bytes)
			munmap(copy->bytes, copy->room);
		copy->bytes = bytes;
		copy->room = room;
	}
	copy->held.placed_units = (uint64_t *) (copy->bytes + placed_at);
	copy->held.placed_unit_s = copy->held.placed_units + n_pools;
	copy->floors = (struct het_floor *) (copy->held.placed_unit_s + n_pools);
	memset(copy->held.placed_units, 0, 2 * n_pools * sizeof(uint64_t));
	return HET_SNAP_OK;
}

/* Copy the active slot and check the copy. TORN and CHECKSUM may pass with another try. */
static enum het_snap copy_slot(struct het_reader *reader, const struct het_file *header, struct copy *copy)
{
	uint32_t active = header->active;
	off_t at = (off_t) (sizeof(*header) + active * header->slot_size);
	struct het_file after;
	struct het_slot slot;
	enum het_snap status = read_at(reader->fd, &slot, sizeof(slot), at);

	if (status != HET_SNAP_OK)
		return status;
	if (slot.generation != header->generation[active])
		return HET_SNAP_TORN;
	if (slot.used < sizeof(slot) || slot.used > header->slot_size || slot.rows[0] > HET_MAX_POOLS)
		return HET_SNAP_OFFSETS;
	status = make_room(copy, slot.used, slot.rows[0]);
	if (status == HET_SNAP_OK)
		status = read_at(reader->fd, copy->bytes, slot.used, at);
	if (status == HET_SNAP_OK)
		status = read_header(reader, &after);
	if (status != HET_SNAP_OK)
		return status;
	if (after.generation[active] != slot.generation || memcmp(&slot, copy->bytes, sizeof(slot)))
		return HET_SNAP_TORN;
	status = het_view_check(copy->bytes, slot.used, 1, &copy->held.view);
	if (status == HET_SNAP_OK)
		het_set_floors(&copy->held.view, copy->floors);
	return status;
}

static struct copy *claim(struct het_reader *reader)
{
	int current = atomic_load(&reader->current);

	for (int i = 0; i < N_COPIES; i++) {
		int nobody = 0;

		if (i != current &&
		    atomic_compare_exchange_strong(&reader->copy[i].holders, &nobody, WRITING))
			return &reader->copy[i];
	}
	return NULL;
}

static enum het_snap load(struct het_reader *reader, struct het_file *header)
{
	struct copy *copy = claim(reader);
	enum het_snap status = HET_SNAP_TORN;
	uint64_t generation = 0;

	if (!copy)
		return HET_SNAP_BUSY;
	for (int i = 0; i < TRIES; i++) {
		if (i && (status = read_header(reader, header)) != HET_SNAP_OK)
			break;
		generation = header->generation[header->active];
		status = copy_slot(reader, header, copy);
		if (status != HET_SNAP_TORN && status != HET_SNAP_CHECKSUM)
			break;
	}
	if (status == HET_SNAP_OK)
		het_placements_carry(&reader->placements, &copy->held);
	atomic_fetch_sub(&copy->holders, WRITING);
	if (status == HET_SNAP_OK)
		atomic_store(&reader->current, (int) (copy - reader->copy));
	if (status == HET_SNAP_TORN) {
		reader->suspect = 1;
	} else {
		reader->seen = generation;
		reader->verdict = status;
		reader->suspect = 0;
	}
	return status;
}

/* Look at the file, and copy its newest generation when that is a new one. One thread at a time. */
static enum het_snap refresh(struct het_reader *reader, int64_t now_ns)
{
	int due = now_ns < reader->looked_ns || now_ns - reader->looked_ns >= LOOK_NS;
	struct het_file header;
	enum het_snap status;

	if (due) {
		reader->looked_ns = now_ns;
		if (reader->fd < 0 || reader->superseded || reader->verdict != HET_SNAP_OK ||
		    !same_file(reader))
			open_file(reader);
	}
	if (reader->fd < 0)
		return reader->opened;
	status = read_header(reader, &header);
	if (status == HET_SNAP_OK && header.superseded && !reader->superseded) {
		open_file(reader);
		if (reader->fd < 0)
			return reader->opened;
		status = read_header(reader, &header);
		reader->superseded = status == HET_SNAP_OK && header.superseded;
	}
	if (status != HET_SNAP_OK) {
		reader->suspect = 1;
		return status;
	}
	if (header.generation[header.active] == reader->seen)
		return reader->verdict;
	return load(reader, &header);
}

struct het_reader *het_reader_new(const char *path, uid_t owner)
{
	struct het_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return NULL;
	reader->path = strdup(path);
	if (!reader->path) {
		free(reader);
		return NULL;
	}
	reader->owner = owner;
	reader->fd = -1;
	reader->opened = HET_SNAP_ABSENT;
	reader->looked_ns = INT64_MAX; /* any time is earlier: look at once */
	atomic_init(&reader->current, NONE);
	atomic_init(&reader->status, HET_SNAP_BUSY);
	atomic_flag_clear(&reader->refreshing);
	for (int i = 0; i < N_COPIES; i++)
		reader->copy[i].reader = reader;
	return reader;
}

void het_reader_free(struct het_reader *reader)
{
	if (!reader)
		return;
	close_file(reader);
	for (int i = 0; i < N_COPIES; i++)
		if (reader->copy[i].bytes)
			munmap(reader->copy[i].bytes, reader->copy[i].room);
	free(reader->path);
	free(reader);
}

struct het_held *het_reader_take(struct het_reader *reader, int64_t now_ns, enum het_snap *status)
{
	if (!atomic_flag_test_and_set(&reader->refreshing)) {
		atomic_store(&reader->status, refresh(reader, now_ns));
		atomic_flag_clear(&reader->refreshing);
	}
	*status = (enum het_snap) atomic_load(&reader->status);
	for (;;) {
		int current = atomic_load(&reader->current);
		struct copy *copy;

		if (current == NONE)
			return NULL;
		copy = &reader->copy[current];
		atomic_fetch_add(&copy->holders, 1);
		if (atomic_load(&reader->current) == current)
			return &copy->held;
		atomic_fetch_sub(&copy->holders, 1);
	}
}

void het_reader_give(struct het_reader *reader, struct het_held *held)
{
	(void) reader;
	if (held)
		atomic_fetch_sub(&((struct copy *) held)->holders, 1);
}

void het_held_place(struct het_held *held, uint32_t pool, double units, double unit_s)
{
	het_placements_note(&((struct copy *) held)->reader->placements, held, pool, units, unit_s);
}
