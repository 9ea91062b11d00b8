/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring of recent placements. Entries are guarded by a turn number: a reader skips one that changes under
 * it. The sums are a hint that spreads a burst of jobs; a placement in the very
 * microseconds in which a generation changes may miss the new one, which costs one job a worse guess of its
 * wait.
 */
#include <math.h>
#include <string.h>
#include <time.h>

#include "hash.h"
#include "placements.h"

/* slurmctld records a job shortly after its plugin placed it: a job this old may still be missing from what
 * was read. */
#define SETTLE_NS INT64_C(100000000)

static uint64_t bits(double x)
{
	uint64_t b;

	memcpy(&b, &x, sizeof(b));
	return b;
}

static double number(uint64_t b)
{
	double x;

	memcpy(&x, &b, sizeof(x));
	return x;
}

static void add(uint64_t *sum, double x)
{
	uint64_t old = __atomic_load_n(sum, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(sum, &old, bits(number(old) + x), 1, __ATOMIC_RELAXED,
	                                    __ATOMIC_RELAXED))
		;
}

static uint64_t key_of(const struct het_held *held, uint32_t pool)
{
	const char *name = held->view.str + held->view.pool.name[pool];

	return het_hash(name, strlen(name));
}

void het_placements_note(struct het_placements *placements, struct het_held *held, uint32_t pool,
                         double units, double unit_s)
{
	struct het_placement *entry;
	struct timespec now;
	uint64_t turn;

	if (pool >= held->view.n_pools || !isfinite(units) || !isfinite(unit_s))
		return;
	add(&held->placed_units[pool], units);
	add(&held->placed_unit_s[pool], unit_s);

	clock_gettime(CLOCK_REALTIME, &now);
	turn = atomic_fetch_add(&placements->next, 1);
	entry = &placements->ring[turn % HET_N_PLACEMENTS];
	atomic_store_explicit(&entry->turn, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release); /* the turn falls before anything changes */
	atomic_store_explicit(&entry->at_ns, now.tv_sec * INT64_C(1000000000) + now.tv_nsec,
	                      memory_order_relaxed);
	atomic_store_explicit(&entry->key, key_of(held, pool), memory_order_relaxed);
	atomic_store_explicit(&entry->units, bits(units), memory_order_relaxed);
	atomic_store_explicit(&entry->unit_s, bits(unit_s), memory_order_relaxed);
	atomic_store_explicit(&entry->pool, pool, memory_order_relaxed);
	atomic_store_explicit(&entry->turn, turn + 1, memory_order_release);
}

void het_placements_carry(struct het_placements *placements, struct het_held *held)
{
	int64_t since = held->view.slot->read_at_ns - SETTLE_NS;
	uint64_t next = atomic_load(&placements->next);
	uint64_t first = next > HET_N_PLACEMENTS ? next - HET_N_PLACEMENTS : 0;

	for (uint64_t turn = next; turn > first; turn--) {
		struct het_placement *entry = &placements->ring[(turn - 1) % HET_N_PLACEMENTS];
		uint64_t before = atomic_load(&entry->turn);
		int64_t at_ns = atomic_load(&entry->at_ns);
		uint64_t key = atomic_load(&entry->key);
		double units = number(atomic_load(&entry->units)),
		       unit_s = number(atomic_load(&entry->unit_s));
		uint32_t pool = atomic_load(&entry->pool);

		if (before != turn || atomic_load(&entry->turn) != turn)
			continue;
		if (at_ns < since)
			break;
		/* When the pools themselves changed, the row is another pool: let it go. */
		if (pool >= held->view.n_pools || key_of(held, pool) != key)
			continue;
		add(&held->placed_units[pool], units);
		add(&held->placed_unit_s[pool], unit_s);
	}
}
