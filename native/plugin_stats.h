/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counting what the plugin does, readable from outside slurmctld. */
#ifndef HETSLURM_PLUGIN_STATS_H
#define HETSLURM_PLUGIN_STATS_H

#include "stats_layout.h"

/*
 * Make the page and put a symlink to it at path. The page is a sealed memfd: nobody outside can shrink it
 * under our writes. Any failure is logged once and leaves a page that only we see.
 */
void het_stats_open(const char *path);

/* Take the symlink away if it still is ours, and the page; only when no thread is inside the plugin. */
void het_stats_close(void);

/* All atomic; callable from any thread, before het_stats_open() too. */
void het_stats_count(int counter);
void het_stats_snapshot(enum het_snap status);
void het_stats_time(int phase, uint64_t ns);

/* CLOCK_MONOTONIC in ns. */
uint64_t het_stats_now(void);

#endif
