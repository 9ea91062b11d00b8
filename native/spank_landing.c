/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spank_landing.h"

#include <string.h>

/* Step over a JSON string that starts at its quote; NULL when it has no end. Escapes but \" and \\ are kept
 * as they are. */
static const char *take_string(const char *at, char *out, size_t size)
{
	size_t n = 0;

	for (at++; *at && *at != '"'; at++) {
		if (*at == '\\' && (at[1] == '"' || at[1] == '\\'))
			at++;
		if (out && n + 1 < size)
			out[n++] = *at;
	}
	if (out)
		out[n] = 0;
	return *at ? at + 1 : NULL;
}

/*
 * The string under a key of one flat JSON object. Walks strings whole, so that nothing inside a value is
 * taken for a key.
 */
static int find_string(const char *object, const char *key, char *out, size_t size)
{
	const char *at = object;
	char name[64];

	if (!at || *at++ != '{')
		return 0;
	while (at && *at) {
		if (*at != '"') {
			at++;
			continue;
		}
		at = take_string(at, name, sizeof(name));
		if (!at || *at != ':')
			continue;
		at++;
		if (*at != '"')
			continue;
		if (!strcmp(name, key))
			return take_string(at, out, size) != NULL;
		at = take_string(at, NULL, 0);
	}
	return 0;
}

int het_where_from_record(const char *record, struct het_where *where)
{
	if (!record || strncmp(record, "{\"hetslurm\":", 12))
		return 0;
	return find_string(record, "kind", where->kind, sizeof(where->kind)) &&
	       find_string(record, "type", where->type, sizeof(where->type)) &&
	       find_string(record, "target", where->target, sizeof(where->target)) &&
	       find_string(record, "pool", where->pool, sizeof(where->pool));
}

/* The text up to the stop byte; returns what follows it, or NULL at the end. */
static const char *take_field(const char *at, char stop, char *out, size_t size)
{
	size_t n = strcspn(at, stop == '|' ? "|;" : ";");

	if (n >= size || (stop == '|' && at[n] != '|'))
		return NULL;
	memcpy(out, at, n);
	out[n] = 0;
	return at + n + (at[n] != 0);
}

int het_where_from_map(const char *map, const char *partition, struct het_where *where)
{
	char name[256];

	while (map && *map) {
		const char *at = take_field(map, '|', name, sizeof(name));

		if (at && !strcmp(name, partition)) {
			at = take_field(at, '|', where->kind, sizeof(where->kind));
			at = at ? take_field(at, '|', where->type, sizeof(where->type)) : NULL;
			at = at ? take_field(at, '|', where->target, sizeof(where->target)) : NULL;
			return at && take_field(at, ';', where->pool, sizeof(where->pool));
		}
		map = strchr(map, ';');
		if (map)
			map++;
	}
	return 0;
}
