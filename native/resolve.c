/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resolve.h"

#include <ctype.h>
#include <string.h>

#include "constraint.h"
#include "hash.h"

#define MAX_GRES 16
#define MAX_NAME 256

/* One GRES that the author named on the command line; type 0: any. */
struct named_gres {
	uint64_t kind, type;
	int32_t count; /* per node */
};

static uint64_t hash_of(const char *s)
{
	return s ? het_hash(s, strlen(s)) : 0;
}

/* slurmctld lowers accounts and QOS, both in jobs and in its configuration; so does the snapshot. */
static uint64_t hash_lower(const char *s)
{
	char lower[MAX_NAME];
	size_t n = s ? strlen(s) : 0;

	if (n > sizeof(lower))
		return hash_of(s);
	for (size_t i = 0; i < n; i++)
		lower[i] = (char) tolower((unsigned char) s[i]);
	return het_hash(lower, n);
}

static int32_t clamp(uint64_t x)
{
	return x > INT32_MAX ? INT32_MAX : (int32_t) x;
}

/* The next entry of a comma list, blanks around it dropped; NULL at the end. */
static const char *next_entry(const char **list, size_t *n)
{
	const char *start = *list, *end;

	if (!start || !*start)
		return NULL;
	end = start + strcspn(start, ",");
	*list = *end ? end + 1 : end;
	while (start < end && isspace((unsigned char) *start))
		start++;
	while (end > start && isspace((unsigned char) end[-1]))
		end--;
	*n = (size_t) (end - start);
	return start;
}

static void resolve_partitions(const char *list, struct het_author *author)
{
	const char *entry;
	size_t n;

	while ((entry = next_entry(&list, &n)))
		if (n && author->n_partitions < HET_MAX_PINS)
			author->partition[author->n_partitions++] = het_hash(entry, n);
}

/* 4, 2k: a count, and no type. */
static int is_count(const char *s, size_t n)
{
	size_t digits = 0;

	while (digits < n && isdigit((unsigned char) s[digits]))
		digits++;
	return digits && (digits == n || (digits + 1 == n && strchr("kKmMgGtTpP", s[digits])));
}

static int is_word(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && !memcmp(s, word, n);
}

/* The number after the last : or =; 1 when there is none. */
static int32_t count_of(const char *s, size_t n)
{
	size_t digits = 0;
	uint64_t count = 0;

	while (digits < n && isdigit((unsigned char) s[n - digits - 1]))
		digits++;
	if (!digits || digits == n || !strchr(":=", s[n - digits - 1]))
		return 1;
	for (size_t i = n - digits; i < n && count <= INT32_MAX; i++)
		count = count * 10 + (uint64_t) (s[i] - '0');
	return clamp(count);
}

/* name, name:N, name:type, name:type:N, each with =N for :N and perhaps a prefix. 0: it names no GRES. */
static int parse_gres(const char *s, size_t n, struct named_gres *gres)
{
	int prefixed = n > 5 && (!memcmp(s, "gres:", 5) || !memcmp(s, "gres/", 5));
	size_t name, type = 0;

	if (prefixed) {
		s += 5;
		n -= 5;
	}
	for (name = 0; name < n && s[name] != ':' && s[name] != '=';)
		name++;
	if (!name || memchr(s, '/', name) || is_word(s, name, "none"))
		return 0;
	if (!prefixed && (is_word(s, name, "cpu") || is_word(s, name, "mem") || is_word(s, name, "license")))
		return 0;
	gres->kind = het_hash(s, name);
	gres->type = 0;
	gres->count = count_of(s, n);
	if (name < n && s[name] == ':') {
		s += name + 1;
		n -= name + 1;
		while (type < n && s[type] != ':' && s[type] != '=')
			type++;
		if (!is_count(s, type))
			gres->type = het_hash(s, type);
	}
	return 1;
}

/* --gres=none, with or without a prefix. */
static int wants_none(const char *list)
{
	const char *entry;
	size_t n;

	while ((entry = next_entry(&list, &n)))
		if (is_word(entry, n, "none") || is_word(entry, n, "gres:none") ||
		    is_word(entry, n, "gres/none"))
			return 1;
	return 0;
}

static uint32_t parse_gres_list(const char *list, struct named_gres *named)
{
	const char *entry;
	uint32_t count = 0;
	size_t n;

	while ((entry = next_entry(&list, &n)))
		if (count < MAX_GRES && parse_gres(entry, n, &named[count]))
			count++;
	return count;
}

/* Whether jobs run on this kind: a target of this job, or a pool. A GRES of another kind fixes nothing. */
static int is_device(const struct het_view *view, const struct het_request *request, uint64_t kind)
{
	for (uint32_t i = 0; i < request->n_targets; i++)
		if (hash_of(request->target[i].kind) == kind)
			return 1;
	for (uint32_t i = 0; i < view->n_classes; i++)
		if (view->cls.kind[i] == kind)
			return 1;
	return 0;
}

static uint32_t parse_devices(const struct het_view *view, const struct het_request *request,
                              const char *list, struct named_gres *named)
{
	uint32_t n = parse_gres_list(list, named), kept = 0;

	for (uint32_t i = 0; i < n; i++)
		if (is_device(view, request, named[i].kind))
			named[kept++] = named[i];
	return kept;
}

int het_names_device(const struct het_view *view, const struct het_request *request, const char *gres)
{
	struct named_gres named[MAX_GRES];

	return wants_none(gres) || parse_devices(view, request, gres, named);
}

/*
 * Hold an alternative to the GRES that the author named: rule it out, or give it the count and the one type
 * that was named. n 0: the author wants none.
 */
static void restrict_gres(struct het_alt *alt, const struct named_gres *named, uint32_t n)
{
	uint64_t type = 0;
	int32_t count = 0;
	int fits = !n && !alt->devices, one_type = 1;

	for (uint32_t i = 0; i < n; i++) {
		if (named[i].kind != alt->kind || (named[i].type && alt->type && named[i].type != alt->type))
			continue;
		if (fits && named[i].type != type)
			one_type = 0;
		type = named[i].type;
		fits = 1;
		if (named[i].count > count)
			count = named[i].count;
	}
	if (!fits)
		alt->reasons |= HET_WHY_GRES_NAMED;
	else if (!alt->type && one_type)
		alt->type = type;
	if (count)
		alt->devices = count;
}

/* A bitstream is known by its file's name, wherever its author keeps the file, or by its UUID. */
static uint64_t bitstream_of(const char *xclbin)
{
	const char *slash = strrchr(xclbin, '/');

	return hash_of(slash ? slash + 1 : xclbin);
}

static void resolve_target(const struct het_target *target, const struct het_asked *asked,
                           struct het_alt *alt)
{
	double limit_s = asked->limit_min > 0 ? asked->limit_min * 60.0 : HET_FOREVER;

	memset(alt, 0, sizeof(*alt));
	alt->kind = hash_of(target->kind);
	alt->type = hash_of(target->type);
	alt->bitstream = bitstream_of(target->xclbin);
	alt->declared_s = target->time_s ? target->time_s : asked->limit_min > 0 ? limit_s : 0;
	if (alt->declared_s > limit_s)
		alt->declared_s = limit_s;
	alt->nodes = asked->nodes > 0 ? asked->nodes : clamp(target->nodes ? target->nodes : 1);
	alt->cpus = asked->cpus > 0 ? asked->cpus : clamp(target->cpus ? target->cpus : 1);
	alt->devices = clamp(target->count);
	alt->mem_mb = asked->mem_mb > 0 ? asked->mem_mb : clamp(target->mem_mb);
	alt->limit_min =
	        asked->limit_min > 0 ? asked->limit_min : clamp(((uint64_t) target->time_s + 59) / 60);
}

static void resolve_weights(const struct het_slot *slot, const struct het_request *request,
                            struct het_weights *weights)
{
	static const uint8_t preset[HET_OBJ_COUNT] = {
	        [HET_OBJ_LATENCY] = HET_PRESET_LATENCY,   [HET_OBJ_THROUGHPUT] = HET_PRESET_THROUGHPUT,
	        [HET_OBJ_COST] = HET_PRESET_COST,         [HET_OBJ_ENERGY] = HET_PRESET_ENERGY,
	        [HET_OBJ_BALANCED] = HET_PRESET_BALANCED,
	};

	if (request->objective == HET_OBJ_WEIGHTS) {
		weights->time = request->weight[HET_W_TIME];
		weights->cost = request->weight[HET_W_COST];
		weights->energy = request->weight[HET_W_ENERGY];
		weights->scarcity = slot->preset[HET_PRESET_BALANCED].scarcity;
	} else if (request->objective == HET_OBJ_DEFAULT || request->objective >= HET_OBJ_COUNT) {
		*weights = slot->preset[slot->default_objective];
	} else {
		*weights = slot->preset[preset[request->objective]];
	}
}

static double resolve_deadline(const struct het_request *request, int64_t now_s)
{
	double left;

	if (request->deadline_kind == HET_DEADLINE_NONE)
		return HET_FOREVER;
	left = (double) request->deadline_s -
	       (request->deadline_kind == HET_DEADLINE_AT ? (double) now_s : 0);
	return left < 0 ? 0 : left < HET_FOREVER ? left : HET_FOREVER;
}

/* The site with the longest prefix of this URI that ends where a part of the path does; UINT32_MAX: none. */
static uint32_t site_of(const struct het_view *view, const char *uri)
{
	uint32_t best = UINT32_MAX;
	size_t longest = 0;

	for (uint32_t i = 0; i < view->n_sites; i++) {
		const char *prefix = view->str + view->site.prefix[i];
		size_t n = strlen(prefix);

		if (!n || n <= longest || strncmp(prefix, uri, n))
			continue;
		if (prefix[n - 1] != '/' && prefix[n - 1] != ':' && uri[n] && uri[n] != '/')
			continue;
		best = i;
		longest = n;
	}
	return best;
}

uint64_t het_app_key(const char *app, const char *kind)
{
	uint64_t key;

	if (!app || !*app)
		return 0;
	key = het_hash(app, strlen(app) + 1);
	return het_hash_more(key, kind, strlen(kind) + 1);
}

static uint32_t units_of(const struct het_alt *alt)
{
	int32_t per = alt->devices > 0 ? alt->devices : alt->cpus;

	return (uint32_t) clamp((uint64_t) per * (uint64_t) alt->nodes);
}

void het_set_classes(const struct het_request *request, struct het_resolved *resolved)
{
	uint32_t uid = resolved->author.uid;

	for (uint32_t i = 0; i < resolved->job.n_alts; i++) {
		struct het_alt *alt = &resolved->alt[i];

		alt->class_key = het_app_key(request->app, request->target[i].kind);
		alt->wider_key = 0;
		if (alt->class_key)
			continue;
		alt->class_key = het_user_key(uid, alt->kind, units_of(alt), (uint32_t) alt->limit_min);
		alt->wider_key = het_user_key(uid, alt->kind, 0, 0);
	}
}

void het_resolve(const struct het_view *view, const struct het_request *request,
                 const struct het_asked *asked, int64_t now_s, struct het_resolved *resolved)
{
	struct het_author *author = &resolved->author;
	struct het_job *job = &resolved->job;
	struct named_gres named[MAX_GRES];
	uint32_t n_named = asked->gres ? parse_devices(view, request, asked->gres, named) : 0;
	int fixed = n_named || (asked->gres && wants_none(asked->gres));

	memset(resolved, 0, offsetof(struct het_resolved, alt));
	author->uid = asked->uid;
	author->privileged = asked->privileged;
	author->account = hash_lower(asked->account);
	author->qos = hash_lower(asked->qos);
	author->submit_host = hash_of(asked->submit_host);
	author->has_reservation = asked->has_reservation;
	author->node = asked->node;
	author->n_nodes = asked->n_nodes_named;
	resolve_partitions(asked->partition, author);
	het_constraint(asked->constraint, author);

	job->n_alts = request->n_targets < HET_MAX_TARGETS ? request->n_targets : HET_MAX_TARGETS;
	job->n_tasks = asked->n_tasks ? asked->n_tasks : 1;
	job->work = request->given & HET_GIVEN_WORK ? request->work : 0;
	job->deadline_s = resolve_deadline(request, now_s);
	job->max_cost_micro =
	        request->given & HET_GIVEN_MAX_COST ? (double) request->max_cost_micro : HET_FOREVER;
	resolve_weights(view->slot, request, &job->weights);
	job->n_data = request->n_data < HET_MAX_JOB_DATA ? request->n_data : HET_MAX_JOB_DATA;
	for (uint32_t i = 0; i < job->n_data; i++) {
		job->site[i] = site_of(view, request->data[i].uri);
		job->bytes[i] = (double) request->data[i].bytes;
	}
	for (uint32_t i = 0; i < job->n_alts; i++) {
		resolve_target(&request->target[i], asked, &resolved->alt[i]);
		if (fixed)
			restrict_gres(&resolved->alt[i], named, n_named);
	}
	het_set_classes(request, resolved);
}
