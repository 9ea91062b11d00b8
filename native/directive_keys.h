/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every key of the grammar: its name, what it expects, and how its value is read into a request. */
#ifndef HETSLURM_DIRECTIVE_KEYS_H
#define HETSLURM_DIRECTIVE_KEYS_H

#include <string.h>

#include "directive_number.h"
#include "directive_values.h"
#include "directive_zone.h"
#include "directives.h"

#define MAX_EACH 1000000 /* nodes, cpus and devices: more is a slip of the finger */

enum key {
	KEY_TARGET,
	KEY_APP,
	KEY_WORK,
	KEY_OBJECTIVE,
	KEY_DEADLINE,
	KEY_DATA,
	KEY_PREEMPTIBLE,
	KEY_BURST,
	KEY_MAX_COST,
	KEY_NODES, /* from here on: keys of a target */
	KEY_CPUS,
	KEY_MEM,
	KEY_TIME,
	KEY_NAME,
	KEY_XCLBIN,
	KEY_COUNT
};

/* No pointers here: looking for a key touches few cache lines. */
static const struct {
	char name[15];
	uint8_t len;
} keys[KEY_COUNT] = {
#define KEY(name)                      \
	{                              \
		name, sizeof(name) - 1 \
	}
        [KEY_TARGET] = KEY("target"),
        [KEY_APP] = KEY("app"),
        [KEY_WORK] = KEY("work"),
        [KEY_OBJECTIVE] = KEY("objective"),
        [KEY_DEADLINE] = KEY("deadline"),
        [KEY_DATA] = KEY("data"),
        [KEY_PREEMPTIBLE] = KEY("preemptible"),
        [KEY_BURST] = KEY("burst"),
        [KEY_MAX_COST] = KEY("max_cost"),
        [KEY_NODES] = KEY("nodes"),
        [KEY_CPUS] = KEY("cpus"),
        [KEY_MEM] = KEY("mem"),
        [KEY_TIME] = KEY("time"),
        [KEY_NAME] = KEY("name"),
        [KEY_XCLBIN] = KEY("xclbin"),
#undef KEY
};

static const char *const expectations[KEY_COUNT] = {
        [KEY_TARGET] = "KIND[:TYPE][:COUNT], such as cpu, gpu:2 or gpu:a100:1",
        [KEY_APP] = "a name of 1 to 63 letters, digits and any of _ . + / @ : -",
        [KEY_WORK] = "a number from 1e-8 to 1e30, such as 3.5e9",
        [KEY_OBJECTIVE] = "latency, throughput, cost, energy, balanced, or weights such as time:0.6,cost:0.4",
        [KEY_DEADLINE] = "+DURATION such as +6h or +1:30:00, or a time such as 2030-12-01T12:00",
        [KEY_DATA] = "URI[:SIZE] of at most 255 printable bytes without ';', such as /scratch/genomes:120G",
        [KEY_PREEMPTIBLE] = "yes or no",
        [KEY_BURST] = "never, allow or only",
        [KEY_MAX_COST] = "an amount of money with at most 6 decimals, such as 25 or 0.75",
        [KEY_NODES] = "a whole number from 1 to 1000000",
        [KEY_CPUS] = "a whole number from 1 to 1000000",
        [KEY_MEM] = "a size such as 64G or 1500M (a plain number is MiB), below 2048T",
        [KEY_TIME] = "a time above 0 such as 40 (minutes), 40:00, 4:00:00 or 1-12:00",
        [KEY_NAME] = "a name of 1 to 63 letters, digits and any of _ . + / @ : -",
        [KEY_XCLBIN] = "a path of at most 255 printable bytes without ',' and ';'",
};

static const char *const directive_names =
        "target, app, work, objective, deadline, data, preemptible, burst or max_cost";
static const char *const target_names = "nodes, cpus, mem, time, name or xclbin";

static const uint32_t given_bit[KEY_NODES] = {
        [KEY_APP] = HET_GIVEN_APP,
        [KEY_WORK] = HET_GIVEN_WORK,
        [KEY_OBJECTIVE] = HET_GIVEN_OBJECTIVE,
        [KEY_DEADLINE] = HET_GIVEN_DEADLINE,
        [KEY_PREEMPTIBLE] = HET_GIVEN_PREEMPTIBLE,
        [KEY_BURST] = HET_GIVEN_BURST,
        [KEY_MAX_COST] = HET_GIVEN_MAX_COST,
};

static const char *const objectives[HET_OBJ_WEIGHTS] = {
        [HET_OBJ_DEFAULT] = "",  [HET_OBJ_LATENCY] = "latency", [HET_OBJ_THROUGHPUT] = "throughput",
        [HET_OBJ_COST] = "cost", [HET_OBJ_ENERGY] = "energy",   [HET_OBJ_BALANCED] = "balanced",
};

enum { HET_N_BURSTS = HET_BURST_ONLY + 1 };
static const char *const bursts[HET_N_BURSTS] = {"never", "allow", "only"};
static const char *const no_yes[] = {"no", "yes"};

static void clear_request(struct het_request *request)
{
	request->given = request->n_targets = request->n_data = 0;
	memset(request->app, 0, sizeof(*request) - offsetof(struct het_request, app));
}

static bool copy_text(struct het_span value, char *out, size_t size)
{
	if (value.len >= size)
		return false;
	memcpy(out, value.at, value.len);
	return true;
}

static bool read_name(struct het_span value, char *out)
{
	return is_word(value, "_.+/@:-") && copy_text(value, out, HET_MAX_NAME);
}

static bool read_u32(struct het_span value, uint32_t max, uint32_t *out)
{
	uint64_t n;

	if (!read_whole(value, 1, max, &n))
		return false;
	*out = (uint32_t) n;
	return true;
}

static bool is_number(struct het_span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_digit(s.at[i]))
			return false;
	return s.len > 0;
}

/* KIND, KIND:COUNT, KIND:TYPE or KIND:TYPE:COUNT; of two parts, a last one all of digits is a count. */
static bool read_target(struct het_span value, struct het_target *target)
{
	struct het_span part[3] = {{0}};
	int n = 0;

	do {
		struct het_span before = value;

		part[n++] = take_until(&value, ':');
		if (part[n - 1].len == before.len)
			break;
		if (!value.len)
			return false; /* ends in ':' */
	} while (n < 3);
	if (value.len || !is_kind(part[0]) || !copy_text(part[0], target->kind, HET_MAX_NAME))
		return false;
	if (span_is(part[0], "cpu"))
		return n == 1;
	target->count = 1;
	if ((n == 3 || (n == 2 && is_number(part[1]))) && !read_u32(part[--n], MAX_EACH, &target->count))
		return false;
	return n == 1 || (is_word(part[1], "_.-") && copy_text(part[1], target->type, HET_MAX_NAME));
}

/* Weights are kept in whole millionths, so that what is rendered reads back to the same. */
static bool read_weights(struct het_span value, double weight[HET_W_COUNT])
{
	static const char *const names[HET_W_COUNT] = {"time", "cost", "energy"};
	double given[HET_W_COUNT] = {-1, -1, -1}, sum = 0;
	int32_t micro[HET_W_COUNT], left = 1000000, largest = 0;

	while (value.len) {
		struct het_span rest = value, item = take_until(&value, ','), name = take_until(&item, ':');
		int w = 0;

		while (w < HET_W_COUNT && !span_is(name, names[w]))
			w++;
		if (w == HET_W_COUNT || given[w] >= 0 || !read_number(item, 1e-6, 1e6, &given[w]))
			return false;
		if (!value.len && rest.at[rest.len - 1] == ',')
			return false;
		sum += given[w];
	}
	if (!(sum > 0))
		return false;
	for (int w = 0; w < HET_W_COUNT; w++) {
		micro[w] = given[w] > 0 ? (int32_t) (given[w] / sum * 1e6 + 0.5) : 0;
		left -= micro[w];
		if (micro[w] > micro[largest])
			largest = w;
	}
	micro[largest] += left;
	for (int w = 0; w < HET_W_COUNT; w++)
		weight[w] = micro[w] / 1e6;
	return true;
}

static bool read_objective(struct het_span value, struct het_request *request)
{
	memset(request->weight, 0, sizeof(request->weight));
	for (uint8_t o = HET_OBJ_LATENCY; o <= HET_OBJ_BALANCED; o++) {
		if (span_is(value, objectives[o])) {
			request->objective = o;
			return true;
		}
	}
	request->objective = HET_OBJ_WEIGHTS;
	return read_weights(value, request->weight);
}

static bool read_deadline(struct het_span value, struct het_request *request)
{
	struct het_span duration = {value.at + 1, value.len - 1};
	uint64_t seconds;

	if (!value.len)
		return false;
	if (value.at[0] != '+') {
		request->deadline_kind = HET_DEADLINE_AT;
		return read_timestamp(value, &request->deadline_s);
	}
	if (!read_time(duration, &seconds) && !read_duration(duration, &seconds))
		return false;
	request->deadline_kind = HET_DEADLINE_IN;
	request->deadline_s = (int64_t) seconds;
	return true;
}

/* The end after a URI's last ':' is its size when it begins with a digit and holds no '/'. */
static size_t find_size(struct het_span value)
{
	size_t i = value.len;

	while (i && value.at[i - 1] != ':' && value.at[i - 1] != '/')
		i--;
	return i && i < value.len && value.at[i - 1] == ':' && is_digit(value.at[i]) ? i : 0;
}

static bool read_data(struct het_span value, struct het_data *data)
{
	size_t size = find_size(value);
	struct het_span uri = {value.at, size ? size - 1 : value.len};

	memset(data, 0, sizeof(*data));
	if (size &&
	    !read_size((struct het_span){value.at + size, value.len - size}, 0, 0, INT64_MAX, &data->bytes))
		return false;
	return is_uri(uri, ';') && copy_text(uri, data->uri, HET_MAX_URI);
}

static bool read_choice(struct het_span value, const char *const *names, uint8_t n, uint8_t *out)
{
	for (uint8_t i = 0; i < n; i++) {
		if (span_is(value, names[i])) {
			*out = i;
			return true;
		}
	}
	return false;
}

/* Write what key=value says into request, or into target for a target's keys. */
static bool read_value(enum key key, struct het_span value, struct het_request *request,
                       struct het_target *target)
{
	uint64_t seconds;

	switch (key) {
	case KEY_TARGET:
		return read_target(value, target);
	case KEY_APP:
		memset(request->app, 0, sizeof(request->app));
		return read_name(value, request->app);
	case KEY_WORK:
		return read_number(value, 1e-8, 1e30, &request->work) && request->work > 0;
	case KEY_OBJECTIVE:
		return read_objective(value, request);
	case KEY_DEADLINE:
		return read_deadline(value, request);
	case KEY_DATA:
		return read_data(value, &request->data[request->n_data++]);
	case KEY_PREEMPTIBLE:
		return read_choice(value, no_yes, 2, &request->preemptible);
	case KEY_BURST:
		return read_choice(value, bursts, HET_N_BURSTS, &request->burst);
	case KEY_MAX_COST:
		return read_micro(value, &request->max_cost_micro);
	case KEY_NODES:
		return read_u32(value, MAX_EACH, &target->nodes);
	case KEY_CPUS:
		return read_u32(value, MAX_EACH, &target->cpus);
	case KEY_MEM:
		return read_size(value, 20, 20, INT32_MAX, &target->mem_mb) && target->mem_mb;
	case KEY_TIME:
		if (!read_time(value, &seconds))
			return false;
		target->time_s = (uint32_t) seconds;
		return true;
	case KEY_NAME:
		return read_name(value, target->name);
	case KEY_XCLBIN:
		return is_uri(value, ',') && copy_text(value, target->xclbin, HET_MAX_URI);
	case KEY_COUNT:
		break;
	}
	return false;
}

#endif
