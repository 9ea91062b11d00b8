/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is this private copy of a slot what it says it is? Everything that the kernel relies on is checked here. */
#include <string.h>

#include "snapshot.h"

#define MAX_RANGE_WORK (1u << 24) /* ids compared in one check: far past any site, and still milliseconds */
#define RANGE_MEMO 64

const char *het_snap_text(enum het_snap status)
{
	static const char *const text[] = {
#define HET_SNAP(NAME, text) text,
	        HET_SNAP_STATUS(HET_SNAP)
#undef HET_SNAP
	};
	return (unsigned) status < HET_N_SNAP ? text[status] : "an unknown state";
}

static inline uint64_t rotate(uint64_t x, int by)
{
	return (x << by) | (x >> (64 - by));
}

static inline uint64_t load_word(const unsigned char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

#define MIX UINT64_C(0x9fb21c651e98df25)

/*
 * Four lanes of xor, multiply, rotate: each step is a bijection of its lane, so
 * that a change confined to one lane always shows. No defence against a
 * forger; that is what the file's owner and mode are for.
 */
uint64_t het_checksum(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	unsigned char tail[32] = {0};
	uint64_t lane[4] = {n ^ UINT64_C(0x243f6a8885a308d3), UINT64_C(0x13198a2e03707344),
	                    UINT64_C(0xa4093822299f31d0), UINT64_C(0x082efa98ec4e6c89)};
	uint64_t sum = n;

	for (; n >= 32; p += 32, n -= 32)
		for (int i = 0; i < 4; i++)
			lane[i] = rotate((lane[i] ^ load_word(p + 8 * i)) * MIX, 29);
	if (n) {
		memcpy(tail, p, n);
		for (int i = 0; i < 4; i++)
			lane[i] = rotate((lane[i] ^ load_word(tail + 8 * i)) * MIX, 29);
	}
	for (int i = 0; i < 4; i++) {
		sum = (sum ^ lane[i]) * MIX;
		sum ^= sum >> 32;
	}
	return sum;
}

/* The columns, in the order of slot->offset[]. */
static const struct {
	uint8_t table;
	uint16_t bytes; /* of a row */
} columns[] = {
#define HET_TABLE(name, COLUMNS, index) COLUMNS(HET_TABLE_##name)
#define HET_TABLE_pool(c, np, name, n) {0, sizeof(c) * (n)},
#define HET_TABLE_cls(c, np, name, n) {1, sizeof(c) * (n)},
#define HET_TABLE_part(c, np, name, n) {2, sizeof(c) * (n)},
#define HET_TABLE_assoc(c, np, name, n) {3, sizeof(c) * (n)},
#define HET_TABLE_est(c, np, name, n) {4, sizeof(c) * (n)},
#define HET_TABLE_site(c, np, name, n) {5, sizeof(c) * (n)},
#define HET_TABLE_link(c, np, name, n) {6, sizeof(c) * (n)},
#define HET_TABLE_ids(c, np, name, n) {7, sizeof(c) * (n)},
#define HET_TABLE_str(c, np, name, n) {8, sizeof(c) * (n)},
        HET_TABLES(HET_TABLE)};

_Static_assert(sizeof(columns) / sizeof(columns[0]) == HET_N_COLUMNS, "a column is missing");

static int inside(const struct het_slot *slot)
{
	for (int i = 0; i < HET_N_COLUMNS; i++) {
		uint64_t bytes = (uint64_t) slot->rows[columns[i].table] * columns[i].bytes;
		uint64_t at = slot->offset[i];

		if (at % HET_ALIGN || at < sizeof(*slot) || at > slot->used || bytes > slot->used - at)
			return 0;
	}
	return slot->rows[0] <= HET_MAX_POOLS && slot->rows[1] <= slot->rows[0] &&
	       slot->rows[6] == (uint64_t) slot->rows[5] * slot->rows[0];
}

static void fill(struct het_view *view, const struct het_slot *slot)
{
	const char *base = (const char *) slot;

	view->slot = slot;
	view->floor = NULL;
	view->n_pools = slot->rows[0];
	view->n_classes = slot->rows[1];
	view->n_parts = slot->rows[2];
	view->n_assocs = slot->rows[3];
	view->n_estimates = slot->rows[4];
	view->n_sites = slot->rows[5];
	view->n_ids = slot->rows[7];
	view->n_bytes = slot->rows[8];
#define HET_POINT(group, TABLE, c, name) \
	view->group.name = (const c *) (base + slot->offset[HET_COL_##TABLE##_##name]);
#define HET_POINT_POOL(c, np, name, n) HET_POINT(pool, POOL, c, name)
#define HET_POINT_CLS(c, np, name, n) HET_POINT(cls, CLS, c, name)
#define HET_POINT_PART(c, np, name, n) HET_POINT(part, PART, c, name)
#define HET_POINT_ASSOC(c, np, name, n) HET_POINT(assoc, ASSOC, c, name)
#define HET_POINT_EST(c, np, name, n) HET_POINT(est, EST, c, name)
#define HET_POINT_SITE(c, np, name, n) HET_POINT(site, SITE, c, name)
#define HET_POINT_LINK(c, np, name, n) HET_POINT(link, LINK, c, name)
	HET_POOL_COLUMNS(HET_POINT_POOL)
	HET_CLASS_COLUMNS(HET_POINT_CLS)
	HET_PART_COLUMNS(HET_POINT_PART)
	HET_ASSOC_COLUMNS(HET_POINT_ASSOC)
	HET_ESTIMATE_COLUMNS(HET_POINT_EST)
	HET_SITE_COLUMNS(HET_POINT_SITE)
	HET_LINK_COLUMNS(HET_POINT_LINK)
	view->ids = (const uint64_t *) (base + slot->offset[HET_COL_IDS_id]);
	view->str = base + slot->offset[HET_COL_STR_byte];
}

/* Each returns non-zero when some value is out of bounds. No branch inside, so that they vectorize. */

static inline int64_t bits(double x)
{
	int64_t b;

	memcpy(&b, &x, sizeof(b));
	return b;
}

/*
 * Outside of [low, high], 0 <= low. Doubles without a sign are ordered as their bits are, and a NaN lies
 * above them all: the sign of the differences tells, whatever the compiler may assume of floating point. -0
 * is outside.
 */
static int past(const double *x, size_t n, double low, double high)
{
	uint64_t signs = 0, least = (uint64_t) bits(low), most = (uint64_t) bits(high);

	for (size_t i = 0; i < n; i++) {
		uint64_t b = (uint64_t) bits(x[i]);

		signs |= b | (b - least) | (most - b);
	}
	return signs >> 63;
}

static int negative(const int32_t *x, size_t n)
{
	int32_t all = 0;

	for (size_t i = 0; i < n; i++)
		all |= x[i];
	return all < 0;
}

static int above32(const uint32_t *x, size_t n, uint32_t end)
{
	int bad = 0;

	for (size_t i = 0; i < n; i++)
		bad |= x[i] >= end;
	return bad;
}

static int above8(const uint8_t *x, size_t n, uint8_t end)
{
	int bad = 0;

	for (size_t i = 0; i < n; i++)
		bad |= x[i] >= end;
	return bad;
}

static int slot_bad(const struct het_view *view)
{
	const struct het_slot *slot = view->slot;
	int bad = slot->generation == 0;

	bad |= slot->written_at_ns < 0 || slot->written_at_ns > INT64_MAX / 2;
	bad |= slot->read_at_ns < 0 || slot->read_at_ns > INT64_MAX / 2;
	bad |= slot->max_age_ns < 0 || slot->max_age_ns > INT64_MAX / 2;
	bad |= slot->default_part != HET_NO_PARTITION && slot->default_part >= view->n_parts;
	bad |= slot->default_objective >= HET_N_PRESETS;
	bad |= !memchr(slot->currency, 0, sizeof(slot->currency));
	bad |= !memchr(slot->cluster, 0, sizeof(slot->cluster));
	bad |= past(&slot->preset[0].time, HET_N_PRESETS * sizeof(slot->preset[0]) / sizeof(double), 0,
	            HET_FOREVER);
	bad |= slot->order_points > HET_MAX_ORDER_POINTS;
	bad |= past(&slot->order_short_s, 1, 0, HET_FOREVER) | past(&slot->order_long_s, 1, 0, HET_FOREVER);
	return bad;
}

static int pools_bad(const struct het_view *v)
{
	size_t n = v->n_pools;
	int bad = 0;

	bad |= above32(v->pool.name, n, v->n_bytes) | above32(v->pool.kind_name, n, v->n_bytes);
	bad |= above32(v->pool.type_name, n, v->n_bytes) | above32(v->pool.part, n, v->n_parts);
	bad |= above32(v->pool.reasons, n, 1u << HET_N_REASONS);
	bad |= negative(v->pool.nodes, n) | negative(v->pool.cpus_per_node, n);
	bad |= negative(v->pool.devices_per_node, n) | negative(v->pool.mem_mb_per_node, n);
	bad |= negative(v->pool.limit_min, n) | negative(v->pool.min_nodes, n) |
	       negative(v->pool.max_nodes, n);
	bad |= negative(v->pool.max_cpus_per_node, n) | negative(v->pool.max_mem_mb_per_node, n);
	bad |= past(v->pool.units, n, 0, HET_FOREVER) | past(v->pool.units_free, n, 0, HET_FOREVER);
	bad |= past(v->pool.wait_s, n * HET_WAIT_SIZES * HET_WAIT_LENGTHS, 0, HET_FOREVER);
	bad |= past(v->pool.bitstream_s, n, 0, HET_FOREVER);
	bad |= past(v->pool.startup_s, n, 0, HET_FOREVER) |
	       past(v->pool.speed, n, 1 / HET_FOREVER, HET_FOREVER);
	bad |= past(v->pool.price_cpu, n, 0, HET_FOREVER) | past(v->pool.price_device, n, 0, HET_FOREVER);
	bad |= past(v->pool.price_node, n, 0, HET_FOREVER) | past(v->pool.watt_cpu, n, 0, HET_FOREVER);
	bad |= past(v->pool.watt_device, n, 0, HET_FOREVER) | past(v->pool.watt_node, n, 0, HET_FOREVER);
	bad |= past(v->pool.shadow, n, 0, HET_FOREVER) | past(v->pool.health, n, 0, 1);
	bad |= past(v->pool.risk, n, 1, HET_FOREVER);
	bad |= above8(v->pool.wait_source, n, HET_MEASURED + 1) |
	       above8(v->pool.startup_source, n, HET_MEASURED + 1);
	bad |= above8(v->pool.bitstream_source, n, HET_MEASURED + 1);
	bad |= above8(v->pool.speed_source, n, HET_MEASURED + 1) |
	       above8(v->pool.price_source, n, HET_MEASURED + 1);
	bad |= above8(v->pool.watt_source, n, HET_MEASURED + 1) |
	       above8(v->pool.shadow_source, n, HET_MEASURED + 1);
	bad |= above8(v->pool.health_source, n, HET_MEASURED + 1);
	return bad;
}

/* Classes are sorted, and tile the pools: each pool belongs to the class that names its kind and type. */
static int classes_bad(const struct het_view *v)
{
	uint32_t next = 0;

	for (uint32_t k = 0; k < v->n_classes; k++) {
		uint64_t kind = v->cls.kind[k], type = v->cls.type[k];
		uint32_t count = v->cls.count[k];

		if (!kind || v->cls.first[k] != next || !count || count > v->n_pools - next)
			return 1;
		if (k &&
		    (kind < v->cls.kind[k - 1] || (kind == v->cls.kind[k - 1] && type <= v->cls.type[k - 1])))
			return 1;
		for (uint32_t end = next + count; next < end; next++)
			if (v->pool.kind[next] != kind || v->pool.type[next] != type)
				return 1;
	}
	return next != v->n_pools;
}

static int associations_bad(const struct het_view *v)
{
	for (uint32_t i = 0; i < v->n_assocs; i++) {
		uint32_t part = v->assoc.part[i];

		if ((part != HET_NO_PARTITION && part >= v->n_parts) || v->assoc.is_default[i] > 1)
			return 1;
		if (!i || v->assoc.uid[i] > v->assoc.uid[i - 1])
			continue;
		if (v->assoc.uid[i] < v->assoc.uid[i - 1] || v->assoc.account[i] < v->assoc.account[i - 1])
			return 1;
		if (v->assoc.account[i] == v->assoc.account[i - 1] && part < v->assoc.part[i - 1])
			return 1;
	}
	return 0;
}

static int estimates_bad(const struct het_view *v)
{
	size_t n = v->n_estimates;
	int bad = past(v->est.mean_s, n, 0, HET_FOREVER) | past(v->est.log_sd, n, 0, HET_FOREVER);

	bad |= past(v->est.spread, n, 1, HET_FOREVER) | past(v->est.trust, n, 0, 1);
	bad |= above8(v->est.per_work, n, 2) | above8(v->est.source, n, HET_MEASURED + 1);
	for (size_t i = 1; i < n; i++)
		bad |= v->est.key[i] <= v->est.key[i - 1];
	return bad;
}

/* Ranges of ids[]. Pools and partitions share ranges, so the ones just seen are not walked again. */
struct ranges {
	const uint64_t *ids;
	uint32_t n_ids;
	uint32_t work;
	uint32_t first[RANGE_MEMO], count[RANGE_MEMO];
};

static int range_bad(struct ranges *r, uint32_t first, uint32_t count)
{
	const uint64_t *id = r->ids + first;
	uint32_t memo = (first ^ (first >> 6) ^ (count << 3)) % RANGE_MEMO;
	int bad = 0;

	if (first > r->n_ids || count > r->n_ids - first)
		return 1;
	if (count < 2 || (r->first[memo] == first && r->count[memo] == count))
		return 0;
	if (count > MAX_RANGE_WORK - r->work)
		return 1;
	r->work += count;
	for (uint32_t i = 1; i < count; i++)
		bad |= id[i] < id[i - 1];
	r->first[memo] = first;
	r->count[memo] = count;
	return bad;
}

static int ranges_bad(const struct het_view *v)
{
	struct ranges r = {.ids = v->ids, .n_ids = v->n_ids};

	for (uint32_t i = 0; i < v->n_pools; i++)
		if (range_bad(&r, v->pool.feature_first[i], v->pool.feature_count[i]) ||
		    range_bad(&r, v->pool.node_first[i], v->pool.node_count[i]))
			return 1;
	for (uint32_t i = 0; i < v->n_parts; i++)
		if (range_bad(&r, v->part.account_first[i], v->part.account_count[i]) ||
		    range_bad(&r, v->part.qos_first[i], v->part.qos_count[i]) ||
		    range_bad(&r, v->part.uid_first[i], v->part.uid_count[i]) ||
		    range_bad(&r, v->part.host_first[i], v->part.host_count[i]))
			return 1;
	return 0;
}

enum het_snap het_view_check(const void *bytes, size_t size, int check_sum, struct het_view *view)
{
	const struct het_slot *slot = bytes;
	size_t links;

	if ((uintptr_t) bytes % _Alignof(struct het_slot) || size < sizeof(*slot) ||
	    slot->used < sizeof(*slot) || slot->used > size || slot->used > HET_MAX_SLOT)
		return HET_SNAP_OFFSETS;
	if (check_sum &&
	    slot->checksum != het_checksum((const char *) bytes + HET_SUM_START, slot->used - HET_SUM_START))
		return HET_SNAP_CHECKSUM;
	if (!inside(slot))
		return HET_SNAP_OFFSETS;
	fill(view, slot);
	links = (size_t) view->n_sites * view->n_pools;
	/* A NUL as the last byte ends every string that starts inside. */
	if (view->n_bytes && view->str[view->n_bytes - 1])
		return HET_SNAP_VALUES;
	if (slot_bad(view) || pools_bad(view) || classes_bad(view) || associations_bad(view) ||
	    estimates_bad(view) || above32(view->part.name, view->n_parts, view->n_bytes) ||
	    above32(view->site.prefix, view->n_sites, view->n_bytes) ||
	    past(view->link.bytes_per_s, links, 0, HET_FOREVER) ||
	    past(view->link.egress, links, 0, HET_FOREVER) || ranges_bad(view))
		return HET_SNAP_VALUES;
	return HET_SNAP_OK;
}
