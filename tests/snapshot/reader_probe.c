/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drives the plugin's own snapshot reader from the tests, under sanitizers.
 *
 *   reader_probe talk PATH OWNER             obeys lines on stdin, see talk()
 *   reader_probe loop PATH OWNER THREADS     takes until stdin ends, and judges every view
 *   reader_probe flip SLOT                   every bit of a slot's header, and every 97th of the rest,
 * flipped
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/walk_view.h"
#include "snapshot.h"

static const char *const names[] = {
#define NAME(name, text) #name,
        HET_SNAP_STATUS(NAME)
#undef NAME
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static double number(uint64_t bits)
{
	double x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

/*
 * take NOW           -> STATUS GENERATION       generation 0: no view
 * hold NOW           -> the same, and keeps the view; holds up to 8
 * drop               -> "dropped N"             gives back every held view
 * place POOL UNITS   -> "placed"                on the view that a take gives now
 * placed NOW POOL    -> UNITS
 */
static int talk(struct het_reader *reader)
{
	struct het_held *kept[8];
	char line[256], word[16];
	int n_kept = 0;

	while (fgets(line, sizeof(line), stdin)) {
		enum het_snap status = HET_SNAP_OK;
		struct het_held *held;
		int64_t at = now_ns();
		unsigned int pool = 0;
		double units = 0;

		if (sscanf(line, "%15s", word) != 1)
			return 2;
		if (!strcmp(word, "place"))
			sscanf(line, "%*s %u %lf", &pool, &units);
		else
			sscanf(line, "%*s %" SCNd64 " %u", &at, &pool);
		if (!strcmp(word, "drop")) {
			printf("dropped %d\n", n_kept);
			while (n_kept)
				het_reader_give(reader, kept[--n_kept]);
			fflush(stdout);
			continue;
		}
		held = het_reader_take(reader, at, &status);
		if (held)
			het_walk_view(&held->view);
		if (held && !strcmp(word, "place")) {
			het_held_place(held, pool, units, units * 60);
			puts("placed");
		} else if (held && !strcmp(word, "placed")) {
			printf("%g\n", number(held->placed_units[pool]));
		} else {
			printf("%s %" PRIu64 "\n", names[status], held ? held->view.slot->generation : 0);
		}
		if (held && !strcmp(word, "hold") && n_kept < 8)
			kept[n_kept++] = held;
		else
			het_reader_give(reader, held);
		fflush(stdout);
	}
	while (n_kept)
		het_reader_give(reader, kept[--n_kept]);
	return 0;
}

struct round {
	struct het_reader *reader;
	atomic_int stop;
	atomic_ullong takes, views, torn, generations;
};

/* In this test every pool's units are its generation: a mixed or a reused copy shows at once. */
static void *take_and_judge(void *arg)
{
	struct round *round = arg;
	uint64_t last = 0, takes = 0, views = 0, torn = 0, generations = 0;

	while (!atomic_load(&round->stop)) {
		enum het_snap status;
		struct het_held *held = het_reader_take(round->reader, now_ns(), &status);

		takes++;
		if (!held)
			continue;
		views++;
		for (uint32_t i = 0; i < held->view.n_pools; i++)
			torn += held->view.pool.units[i] != (double) held->view.slot->generation;
		generations += held->view.slot->generation != last;
		last = held->view.slot->generation;
		if (held->view.n_pools)
			het_held_place(held, (uint32_t) (takes % held->view.n_pools), 1, 60);
		het_reader_give(round->reader, held);
	}
	atomic_fetch_add(&round->takes, takes);
	atomic_fetch_add(&round->views, views);
	atomic_fetch_add(&round->torn, torn);
	atomic_fetch_add(&round->generations, generations);
	return NULL;
}

static int loop(struct het_reader *reader, int n_threads)
{
	struct round round = {.reader = reader};
	pthread_t thread[64];
	char ignored[64];

	for (int i = 0; i < n_threads && i < 64; i++)
		pthread_create(&thread[i], NULL, take_and_judge, &round);
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, ignored, sizeof(ignored)) > 0)
		;
	atomic_store(&round.stop, 1);
	for (int i = 0; i < n_threads && i < 64; i++)
		pthread_join(thread[i], NULL);
	printf("takes %llu views %llu torn %llu generations %llu\n", atomic_load(&round.takes),
	       atomic_load(&round.views), atomic_load(&round.torn), atomic_load(&round.generations));
	return 0;
}

/* With its checksum a flipped slot must be refused; without, nothing may be followed out of it. */
static int flip(const char *path)
{
	FILE *file = fopen(path, "rb");
	unsigned char *slot = aligned_alloc(64, 1 << 22);
	size_t n, flips = 0, let_through = 0, step = 1;
	struct het_view view;

	if (!file || !slot)
		return 2;
	n = fread(slot, 1, 1 << 22, file);
	fclose(file);
	/* A block of just the size, so that the sanitizer sees a byte past its end. */
	slot = realloc(slot, n);
	if (het_view_check(slot, n, 1, &view) != HET_SNAP_OK)
		return 3;
	for (size_t bit = 0; bit < n * 8; bit += step, flips++) {
		step = bit < sizeof(struct het_slot) * 8 ? 1 : 97;
		slot[bit / 8] ^= (unsigned char) (1u << bit % 8);
		let_through += het_view_check(slot, n, 1, &view) == HET_SNAP_OK;
		if (het_view_check(slot, n, 0, &view) == HET_SNAP_OK)
			het_walk_view(&view);
		slot[bit / 8] ^= (unsigned char) (1u << bit % 8);
	}
	for (size_t size = 0; size < n; size += 61)
		let_through += het_view_check(slot, size, 1, &view) == HET_SNAP_OK;
	printf("flips %zu let_through %zu\n", flips, let_through);
	free(slot);
	return 0;
}

int main(int argc, char **argv)
{
	struct het_reader *reader;
	int rc;

	if (argc == 3 && !strcmp(argv[1], "flip"))
		return flip(argv[2]);
	if (argc < 4)
		return 2;
	reader = het_reader_new(argv[2], (uid_t) atol(argv[3]));
	rc = argc > 4 ? loop(reader, atoi(argv[4])) : talk(reader);
	het_reader_free(reader);
	return rc;
}
