/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin_stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "slurm_compat.h"

#define COUNTER_NAME(name) #name " "
#define STATUS_NAME(NAME, text) #NAME " "
static const char names[] = HET_STATS_COUNTERS(COUNTER_NAME) "\n" HET_SNAP_STATUS(
        STATUS_NAME) "\n" HET_STATS_PHASES(COUNTER_NAME) "\n";
_Static_assert(sizeof(names) <= sizeof(((struct het_stats_header *) 0)->names), "the names do not fit");

/* Used until a shared page exists, and for good when none can be had. */
static struct het_stats_page private_page;
static struct het_stats_page *page = &private_page;
static int page_fd = -1;
static char link_path[4096];
static char link_target[64];

static int64_t wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static void describe(struct het_stats_header *header)
{
	header->magic = HET_STATS_MAGIC;
	header->version = HET_STATS_VERSION;
	header->header_size = sizeof(*header);
	header->started_at_ns = wall_ns();
	header->slurm_version = SLURM_VERSION_NUMBER;
	header->pid = getpid();
	header->n_counters = HET_N_STATS;
	header->n_statuses = HET_N_SNAP;
	header->n_phases = HET_N_PHASES;
	header->n_buckets = HET_STATS_BUCKETS;
	header->sub_bits = HET_STATS_SUB_BITS;
	memcpy(header->names, names, sizeof(names));
}

/* A sealed memfd of the page's size; -1 with errno. The descriptor stays open: it is what the symlink names.
 */
static int make_page(struct het_stats_page **made)
{
	int fd = memfd_create("hetslurm-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *map;

	if (fd < 0)
		return -1;
	if (ftruncate(fd, sizeof(struct het_stats_page)) || fchmod(fd, 0644) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto fail;
	map = mmap(NULL, sizeof(struct het_stats_page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
	           0);
	if (map == MAP_FAILED)
		goto fail;
	*made = map;
	return fd;
fail:
	close(fd);
	return -1;
}

static int place_link(const char *path, int fd)
{
	char temporary[sizeof(link_path) + 16];

	snprintf(link_target, sizeof(link_target), "/proc/%d/fd/%d", (int) getpid(), fd);
	snprintf(temporary, sizeof(temporary), "%s.%d", path, (int) getpid());
	unlink(temporary);
	if (symlink(link_target, temporary))
		return -1;
	if (rename(temporary, path)) {
		unlink(temporary);
		return -1;
	}
	snprintf(link_path, sizeof(link_path), "%s", path);
	return 0;
}

void het_stats_open(const char *path)
{
	struct het_stats_page *made = NULL;
	int fd = make_page(&made);

	if (fd < 0) {
		slurm_error("hetslurm: no statistics page: %s", strerror(errno));
		return;
	}
	describe(&made->header);
	page = made;
	page_fd = fd;
	if (place_link(path, fd))
		slurm_info("hetslurm: the statistics page has no link at %s: %s", path, strerror(errno));
}

/* Take away the link, unless it leads to another slurmctld's page by now. */
static void remove_link(void)
{
	char now[sizeof(link_target)];
	ssize_t n;

	if (!link_path[0])
		return;
	n = readlink(link_path, now, sizeof(now) - 1);
	if (n > 0)
		now[n] = 0;
	if (n > 0 && !strcmp(now, link_target))
		unlink(link_path);
	link_path[0] = 0;
}

void het_stats_close(void)
{
	remove_link();
	if (page == &private_page)
		return;
	munmap(page, sizeof(*page));
	close(page_fd);
	page = &private_page;
	page_fd = -1;
}

static void add(uint64_t *cell)
{
	__atomic_fetch_add(cell, 1, __ATOMIC_RELAXED);
}

void het_stats_count(int counter)
{
	add(&page->counter[counter]);
}

void het_stats_snapshot(enum het_snap status)
{
	if ((unsigned) status < HET_N_SNAP)
		add(&page->status[status]);
}

void het_stats_time(int phase, uint64_t ns)
{
	add(&page->histogram[phase][het_stats_bucket(ns)]);
}

uint64_t het_stats_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}
