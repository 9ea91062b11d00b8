/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The input is a script, a byte 0xff, and a --het string (none without that byte). What
 * is accepted must render to text that is accepted as the same; what is refused must
 * be refused at a place of the text, in strings that end.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directives.h"

#define DEMAND(holds)                                                               \
	do {                                                                        \
		if (!(holds)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #holds); \
			abort();                                                    \
		}                                                                   \
	} while (0)

static void check_same(const struct het_request *a, const struct het_request *b)
{
	DEMAND(a->given == b->given && a->n_targets == b->n_targets && a->n_data == b->n_data);
	for (uint32_t i = 0; i < a->n_targets; i++) {
		struct het_target x = a->target[i], y = b->target[i];

		x.line = y.line = 0;
		DEMAND(!strcmp(x.kind, y.kind) && !strcmp(x.type, y.type) && !strcmp(x.name, y.name) &&
		       !strcmp(x.xclbin, y.xclbin));
		DEMAND(x.count == y.count && x.nodes == y.nodes && x.cpus == y.cpus && x.mem_mb == y.mem_mb &&
		       x.time_s == y.time_s);
	}
	for (uint32_t i = 0; i < a->n_data; i++)
		DEMAND(!strcmp(a->data[i].uri, b->data[i].uri) && a->data[i].bytes == b->data[i].bytes);
	DEMAND(!strcmp(a->app, b->app) && !memcmp(&a->work, &b->work, sizeof(a->work)));
	DEMAND(a->objective == b->objective && !memcmp(a->weight, b->weight, sizeof(a->weight)));
	DEMAND(a->deadline_kind == b->deadline_kind && a->deadline_s == b->deadline_s);
	DEMAND(a->preemptible == b->preemptible && a->burst == b->burst &&
	       a->max_cost_micro == b->max_cost_micro);
}

static void check_sane(const struct het_request *request)
{
	DEMAND(request->n_targets >= 1 && request->n_targets <= HET_MAX_TARGETS &&
	       request->n_data <= HET_MAX_DATA);
	for (uint32_t i = 0; i < request->n_targets; i++) {
		const struct het_target *t = &request->target[i];

		DEMAND(memchr(t->kind, 0, sizeof(t->kind)) && memchr(t->type, 0, sizeof(t->type)) &&
		       memchr(t->name, 0, sizeof(t->name)) && memchr(t->xclbin, 0, sizeof(t->xclbin)));
		DEMAND((t->count == 0) == !strcmp(t->kind, "cpu"));
	}
	for (uint32_t i = 0; i < request->n_data; i++)
		DEMAND(memchr(request->data[i].uri, 0, HET_MAX_URI) && request->data[i].uri[0]);
	if (request->given & HET_GIVEN_WORK)
		DEMAND(request->work > 0 && request->work < 1e300);
}

/* Where a 1-based line of text begins, NULL when it has no such line. */
static const char *find_line(const char *text, size_t len, uint32_t line, size_t *line_len)
{
	const char *end = text + len, *next;

	for (; --line; text = next + 1)
		if (!(next = memchr(text, '\n', (size_t) (end - text))))
			return NULL;
	next = memchr(text, '\n', (size_t) (end - text));
	*line_len = (size_t) ((next ? next : end) - text);
	return text;
}

static void check_error(const struct het_error *error, const char *script, size_t script_len,
                        size_t option_len)
{
	size_t len = option_len;

	DEMAND(memchr(error->word, 0, sizeof(error->word)) &&
	       memchr(error->expected, 0, sizeof(error->expected)) &&
	       memchr(error->message, 0, sizeof(error->message)));
	DEMAND(error->expected[0] && error->message[0] && error->column >= 1);
	if (error->line)
		DEMAND(find_line(script, script_len, error->line, &len));
	DEMAND(error->column <= len + 1);
	for (const char *c = error->message; *c; c++)
		DEMAND((unsigned char) *c >= ' ' && *c != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const uint8_t *split = size ? memchr(bytes, 0xff, size) : NULL;
	size_t script_len = split ? (size_t) (split - bytes) : size,
	       option_len = split ? size - script_len - 1 : 0;
	/* Copies of the very size, so that one byte too far is seen. */
	char *script = malloc(script_len), *option = split ? malloc(option_len) : NULL, text[HET_MAX_OPTION];
	struct het_request request, again;
	struct het_error error;
	size_t len;

	memset(&request, 0xa5, sizeof(request));
	memset(&error, 0xa5, sizeof(error));
	if (script_len)
		memcpy(script, bytes, script_len);
	if (option_len)
		memcpy(option, split + 1, option_len);
	switch (het_parse(script, script_len, option, option_len, &request, &error)) {
	case HET_PARSE_OK:
		check_sane(&request);
		len = het_render(&request, text, sizeof(text));
		DEMAND(len > 0 && len < sizeof(text) && text[len] == '\0');
		memset(&again, 0x5a, sizeof(again));
		DEMAND(het_parse(NULL, 0, text, len, &again, &error) == HET_PARSE_OK);
		check_same(&request, &again);
		DEMAND(het_render(&request, text, len) == len && text[0] == '\0');
		break;
	case HET_PARSE_NONE:
		DEMAND(!request.n_targets && !request.n_data && !(request.given & ~(uint32_t) HET_GIVEN_OFF));
		break;
	case HET_PARSE_BAD:
		check_error(&error, script, script_len, option_len);
		break;
	}
	free(script);
	free(option);
	return 0;
}
