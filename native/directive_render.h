/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A request as a --het string: what it writes, the reader of directives.c reads back to the same request. */
#ifndef HETSLURM_DIRECTIVE_RENDER_H
#define HETSLURM_DIRECTIVE_RENDER_H

#include <string.h>

#include "directive_keys.h"
#include "directive_number.h"
#include "directives.h"

struct writer {
	char *out;
	size_t size;
	size_t used; /* bytes so far, those that did not fit too */
};

static void write_text(struct writer *w, const char *text, size_t len)
{
	if (w->used < w->size && len < w->size - w->used)
		memcpy(w->out + w->used, text, len);
	w->used += len;
}

static void write_string(struct writer *w, const char *text)
{
	write_text(w, text, strlen(text));
}

static size_t end_text(struct writer *w)
{
	if (w->size)
		w->out[w->used < w->size ? w->used : 0] = '\0';
	return w->used;
}

/* A whole number, with zeros in front up to width. */
static void write_whole(struct writer *w, uint64_t n, size_t width)
{
	char text[24];
	size_t at = sizeof(text);

	do
		text[--at] = (char) ('0' + n % 10);
	while (n /= 10);
	while (sizeof(text) - at < width)
		text[--at] = '0';
	write_text(w, text + at, sizeof(text) - at);
}

/* n millionths, without zeros at the end. */
static void write_micro(struct writer *w, uint64_t n)
{
	uint64_t fraction = n % 1000000;
	size_t digits = 6;

	write_whole(w, n / 1000000, 1);
	if (!fraction)
		return;
	for (; fraction % 10 == 0; digits--)
		fraction /= 10;
	write_text(w, ".", 1);
	write_whole(w, fraction, digits);
}

/* Bytes in the largest unit that keeps them whole. */
static void write_size(struct writer *w, uint64_t bytes)
{
	static const char suffixes[] = "KMGT";
	int unit = 0;

	for (; unit < 4 && bytes && bytes % 1024 == 0; unit++)
		bytes /= 1024;
	write_whole(w, bytes, 1);
	if (unit)
		write_text(w, &suffixes[unit - 1], 1);
}

static void write_number(struct writer *w, double value)
{
	int e;
	uint64_t m = split_number(value, &e);

	if (e < 0 && e >= -6 && m < UINT64_C(1000000000000)) {
		for (e += 6; e; e--)
			m *= 10;
		write_micro(w, m);
		return;
	}
	write_whole(w, m, 1);
	if (m && e > 0 && e < 4)
		write_text(w, "000", (size_t) e);
	else if (m && e) {
		write_string(w, e < 0 ? "e-" : "e");
		write_whole(w, (uint64_t) (e < 0 ? -e : e), 1);
	}
}

/* SEP KEY = */
static void write_key(struct writer *w, char separator, enum key key)
{
	char text[1 + sizeof(keys->name) + 1] = {separator};
	size_t first = w->used ? 0 : 1;

	memcpy(text + 1, keys[key].name, sizeof(keys->name));
	text[1 + keys[key].len] = '=';
	write_text(w, text + first, 1 + keys[key].len + 1 - first);
}

static void write_target(struct writer *w, const struct het_target *target)
{
	write_string(w, target->kind);
	if (target->type[0]) {
		write_text(w, ":", 1);
		write_string(w, target->type);
	}
	if (target->count) {
		write_text(w, ":", 1);
		write_whole(w, target->count, 1);
	}
}

static void write_target_keys(struct writer *w, const struct het_target *target)
{
	if (target->nodes) {
		write_key(w, ',', KEY_NODES);
		write_whole(w, target->nodes, 1);
	}
	if (target->cpus) {
		write_key(w, ',', KEY_CPUS);
		write_whole(w, target->cpus, 1);
	}
	if (target->mem_mb) {
		write_key(w, ',', KEY_MEM);
		write_size(w, target->mem_mb << 20);
	}
	if (target->time_s) {
		write_key(w, ',', KEY_TIME);
		write_whole(w, target->time_s / 3600, 1);
		write_text(w, ":", 1);
		write_whole(w, target->time_s / 60 % 60, 2);
		write_text(w, ":", 1);
		write_whole(w, target->time_s % 60, 2);
	}
	if (target->name[0]) {
		write_key(w, ',', KEY_NAME);
		write_string(w, target->name);
	}
	if (target->xclbin[0]) {
		write_key(w, ',', KEY_XCLBIN);
		write_string(w, target->xclbin);
	}
}

static void write_objective(struct writer *w, const struct het_request *request)
{
	static const char *const weights[HET_W_COUNT] = {"time:", "cost:", "energy:"};
	const char *separator = "";

	if (request->objective != HET_OBJ_WEIGHTS) {
		if (request->objective < HET_OBJ_WEIGHTS)
			write_string(w, objectives[request->objective]);
		return;
	}
	for (int i = 0; i < HET_W_COUNT; i++) {
		double micro = request->weight[i] * 1e6 + 0.5;

		if (!(micro >= 1 && micro < 1e13))
			continue;
		write_string(w, separator);
		write_string(w, weights[i]);
		write_micro(w, (uint64_t) micro);
		separator = ",";
	}
}

/* Seconds from submit, or a moment in UTC. */
static void write_deadline(struct writer *w, const struct het_request *request)
{
	uint64_t s = request->deadline_s > 0 ? (uint64_t) request->deadline_s : 0;
	struct civil civil;

	if (request->deadline_kind == HET_DEADLINE_IN) {
		write_text(w, "+", 1);
		write_whole(w, s, 1);
		write_text(w, "s", 1);
		return;
	}
	civil = civil_from_days((int64_t) (s / DAY_S));
	write_whole(w, (uint64_t) civil.year, 4);
	write_text(w, "-", 1);
	write_whole(w, civil.month, 2);
	write_text(w, "-", 1);
	write_whole(w, civil.day, 2);
	write_text(w, "T", 1);
	write_whole(w, s / 3600 % 24, 2);
	write_text(w, ":", 1);
	write_whole(w, s / 60 % 60, 2);
	write_text(w, ":", 1);
	write_whole(w, s % 60, 2);
	write_text(w, "Z", 1);
}

static void write_data(struct writer *w, const struct het_data *data)
{
	size_t len = strlen(data->uri);

	write_text(w, data->uri, len);
	/* A size of 0 says that an end which looks like one is not. */
	if (data->bytes || find_size((struct het_span){data->uri, len})) {
		write_text(w, ":", 1);
		write_size(w, data->bytes);
	}
}

static void write_request(struct writer *w, const struct het_request *request)
{
	for (uint32_t i = 0; i < request->n_targets && i < HET_MAX_TARGETS; i++) {
		write_key(w, ';', KEY_TARGET);
		write_target(w, &request->target[i]);
		write_target_keys(w, &request->target[i]);
	}
	if (request->given & HET_GIVEN_APP) {
		write_key(w, ';', KEY_APP);
		write_string(w, request->app);
	}
	if (request->given & HET_GIVEN_WORK) {
		write_key(w, ';', KEY_WORK);
		write_number(w, request->work);
	}
	if (request->given & HET_GIVEN_OBJECTIVE) {
		write_key(w, ';', KEY_OBJECTIVE);
		write_objective(w, request);
	}
	if (request->given & HET_GIVEN_DEADLINE) {
		write_key(w, ';', KEY_DEADLINE);
		write_deadline(w, request);
	}
	for (uint32_t i = 0; i < request->n_data && i < HET_MAX_DATA; i++) {
		write_key(w, ';', KEY_DATA);
		write_data(w, &request->data[i]);
	}
	if (request->given & HET_GIVEN_PREEMPTIBLE) {
		write_key(w, ';', KEY_PREEMPTIBLE);
		write_string(w, request->preemptible ? "yes" : "no");
	}
	if (request->given & HET_GIVEN_BURST) {
		write_key(w, ';', KEY_BURST);
		write_string(w, request->burst < HET_N_BURSTS ? bursts[request->burst] : "");
	}
	if (request->given & HET_GIVEN_MAX_COST) {
		write_key(w, ';', KEY_MAX_COST);
		write_micro(w, request->max_cost_micro > 0 ? (uint64_t) request->max_cost_micro : 0);
	}
}

#endif
