/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libFuzzer over the snapshot reader. The input is a file: a header and slot 0. The slot is checked
 * by itself without its checksum, and then the file, with the checksum set right, goes through the reader.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "walk_view.h"

static volatile uint64_t sink;

static void check_slot(const uint8_t *data, size_t size)
{
	void *slot = aligned_alloc(64, (size + 63) & ~(size_t) 63);
	struct het_view view;

	if (!slot)
		return;
	memcpy(slot, data, size);
	if (het_view_check(slot, size, 0, &view) == HET_SNAP_OK)
		sink += het_walk_view(&view);
	free(slot);
}

static void read_file(const uint8_t *data, size_t size)
{
	static char path[64];
	struct het_reader *reader;
	struct het_held *held;
	struct het_slot slot;
	enum het_snap status;
	int fd;

	if (!path[0])
		snprintf(path, sizeof(path), "/dev/shm/hetslurm-fuzz-%ld", (long) getpid());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		abort();
	if (write(fd, data, size) != (ssize_t) size)
		abort();
	if (size >= sizeof(struct het_file) + sizeof(slot)) {
		const uint8_t *start = data + sizeof(struct het_file);

		memcpy(&slot, start, sizeof(slot));
		if (slot.used >= sizeof(slot) && slot.used <= size - sizeof(struct het_file)) {
			slot.checksum = het_checksum(start + HET_SUM_START, slot.used - HET_SUM_START);
			if (pwrite(fd, &slot.checksum, sizeof(slot.checksum), sizeof(struct het_file)) < 0)
				abort();
		}
	}
	close(fd);
	reader = het_reader_new(path, getuid());
	held = het_reader_take(reader, 1, &status);
	if (held) {
		sink += het_walk_view(&held->view);
		het_held_place(held, 0, 1, 60);
	}
	het_reader_give(reader, held);
	het_reader_free(reader);
	unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > sizeof(struct het_file))
		check_slot(data + sizeof(struct het_file), size - sizeof(struct het_file));
	read_file(data, size);
	return 0;
}
