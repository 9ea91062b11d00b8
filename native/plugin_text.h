/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text that grows up to a limit. The plugin writes four short texts per job, and printf's numbers alone would
 * cost more than the scoring.
 */
#ifndef HETSLURM_PLUGIN_TEXT_H
#define HETSLURM_PLUGIN_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct het_text {
	char *out; /* always ends with a NUL */
	size_t size, used;
	int full; /* something did not fit: nothing more is added */
};

static inline struct het_text het_text_in(char *out, size_t size)
{
	out[0] = 0;
	return (struct het_text){.out = out, .size = size};
}

/* Never inlined: the caches have forgotten us between two jobs, and each copy would be fetched anew. */
void het_text_bytes(struct het_text *text, const char *bytes, size_t n);

static inline void het_text_add(struct het_text *text, const char *more)
{
	het_text_bytes(text, more, strlen(more));
}

/* Take back what was added since; for things that must be whole or not there. */
static inline void het_text_cut(struct het_text *text, size_t used)
{
	text->used = used;
	text->out[used] = 0;
	text->full = 0;
}

void het_text_integer(struct het_text *text, uint64_t value);

/* value >= 0 and < 1e12, rounded to `decimals` (0..6); with `trim`, no zeros at the end. Else "?" */
void het_text_number(struct het_text *text, double value, int decimals, int trim);

/* Add a name and `end` (0: nothing). 0 when it does not fit or holds one of "|;\n", which part lists of
 * names. */
int het_text_field(struct het_text *text, const char *name, char end);

/* The inside of a JSON string. Bytes that are no ASCII pass as they are. */
void het_text_json(struct het_text *text, const char *value);

/* "40s", "25m", "3h 20m", "2d 4h" */
void het_text_duration(struct het_text *text, double seconds);

#endif
