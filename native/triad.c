// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE
#include "triad.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define SCALAR 3.0
#define B_START 2.0
#define C_START 0.5

struct triad {
	double *a, *b, *c;
	size_t elements;
	unsigned threads, repeats;
	pthread_mutex_t gate; /* held until all threads are there */
	pthread_barrier_t barrier;
	bool go;
	atomic_bool wrong;
	double best_s; /* the first thread's alone */
};

struct share {
	struct triad *triad;
	pthread_t thread;
	unsigned index;
	int cpu; /* -1: any */
};

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
}

static void pass(double *restrict a, const double *restrict b, const double *restrict c, size_t count)
{
	for (size_t i = 0; i < count; i++)
		a[i] = b[i] + SCALAR * c[i];
}

static void fill(double *values, double value, size_t count)
{
	for (size_t i = 0; i < count; i++)
		values[i] = value;
}

static void settle(int cpu)
{
	cpu_set_t set;

	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* Only a better measurement is lost where this is not allowed. */
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *work(void *argument)
{
	const struct share *share = argument;
	struct triad *triad = share->triad;
	size_t each = triad->elements / triad->threads;
	size_t first = each * share->index;
	size_t count = share->index + 1 == triad->threads ? triad->elements - first : each;
	double *a = triad->a + first, *b = triad->b + first, *c = triad->c + first;

	pthread_mutex_lock(&triad->gate);
	pthread_mutex_unlock(&triad->gate);
	if (!triad->go)
		return NULL;
	settle(share->cpu);
	fill(a, 0.0, count);
	fill(b, B_START, count);
	fill(c, C_START, count);
	for (unsigned repeat = 0; repeat < triad->repeats; repeat++) {
		double start, took;

		pthread_barrier_wait(&triad->barrier);
		start = now_s();
		pass(a, b, c, count);
		pthread_barrier_wait(&triad->barrier);
		took = now_s() - start;
		if (share->index == 0 && took < triad->best_s)
			triad->best_s = took;
	}
	for (size_t i = 0; i < count; i++)
		if (a[i] != B_START + SCALAR * C_START)
			atomic_store(&triad->wrong, true);
	return NULL;
}

static double *map_array(size_t bytes)
{
	void *array =
	        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (array == MAP_FAILED)
		return NULL;
	/* Huge pages, so that translation does not count as bandwidth. */
	madvise(array, bytes, MADV_HUGEPAGE);
	return array;
}

/* The first cpus that this process may use, one a thread, else -1. */
static void choose_cpus(struct share *shares, unsigned threads)
{
	cpu_set_t allowed;
	unsigned chosen = 0;

	for (unsigned i = 0; i < threads; i++)
		shares[i].cpu = -1;
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || (unsigned) CPU_COUNT(&allowed) < threads)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE && chosen < threads; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			shares[chosen++].cpu = cpu;
}

/* All threads or none pass the gate; all have ended on return. */
static int run_threads(struct triad *triad, struct share *shares)
{
	unsigned started = 0;
	int error = pthread_mutex_init(&triad->gate, NULL);

	if (error != 0)
		return error;
	error = pthread_barrier_init(&triad->barrier, NULL, triad->threads);
	if (error != 0)
		goto cleanup;
	pthread_mutex_lock(&triad->gate);
	while (error == 0 && started < triad->threads) {
		struct share *share = &shares[started];

		share->triad = triad;
		share->index = started;
		error = pthread_create(&share->thread, NULL, work, share);
		if (error == 0)
			started++;
	}
	triad->go = error == 0;
	pthread_mutex_unlock(&triad->gate);
	for (unsigned i = 0; i < started; i++)
		pthread_join(shares[i].thread, NULL);
	pthread_barrier_destroy(&triad->barrier);
cleanup:
	pthread_mutex_destroy(&triad->gate);
	return error;
}

int het_triad(size_t elements, unsigned threads, unsigned repeats, double *best_s)
{
	struct triad triad = {.elements = elements, .threads = threads, .repeats = repeats, .best_s = 1e30};
	struct share *shares = NULL;
	size_t bytes = elements * sizeof(double);
	int error = ENOMEM;

	if (threads == 0 || threads > HET_TRIAD_MAX_THREADS || repeats == 0 || elements < threads ||
	    elements > SIZE_MAX / 64)
		return EINVAL;
	shares = calloc(threads, sizeof(*shares));
	triad.a = map_array(bytes);
	triad.b = map_array(bytes);
	triad.c = map_array(bytes);
	if (!shares || !triad.a || !triad.b || !triad.c)
		goto cleanup;
	choose_cpus(shares, threads);
	error = run_threads(&triad, shares);
	if (error == 0 && atomic_load(&triad.wrong))
		error = EIO;
	if (error == 0)
		*best_s = triad.best_s;
cleanup:
	if (triad.a)
		munmap(triad.a, bytes);
	if (triad.b)
		munmap(triad.b, bytes);
	if (triad.c)
		munmap(triad.c, bytes);
	free(shares);
	return error;
}
