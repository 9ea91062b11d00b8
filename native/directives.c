/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "directives.h"

#include <string.h>
#include <strings.h>

#include "directive_error.h"
#include "directive_keys.h"
#include "directive_render.h"

struct reader {
	struct het_request *request;
	struct het_error *error;
	struct het_place place;
	struct het_target *target;    /* the one on this line, or in this directive of --het */
	uint32_t given_at[KEY_COUNT]; /* line + 1 where each was given; a target's keys: for this target */
	uint32_t hetjob_at;           /* line of `#SBATCH hetjob` */
	struct het_place first_place; /* of the first directive of all; no origin: none yet */
	struct het_span first_word;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct het_span trim(const char *at, const char *end)
{
	while (at < end && is_blank(*at))
		at++;
	while (end > at && (is_blank(end[-1]) || end[-1] == '\r'))
		end--;
	return (struct het_span){at, (size_t) (end - at)};
}

__attribute__((cold)) static bool refuse_key(struct reader *r, struct het_span word)
{
	const int first = !r->place.line && r->target ? KEY_NODES : 0;
	const int end = r->target ? KEY_COUNT : KEY_NODES;
	unsigned best = word.len < 4 ? 2 : 3;
	char instead[64] = "";

	for (int key = first; key < end; key++) {
		unsigned typos = count_typos(word, keys[key].name);

		if (typos < best) {
			best = typos;
			snprintf(instead, sizeof(instead), "did you mean '%.40s'?", keys[key].name);
		}
	}
	return refuse(r->error, r->place, word, r->target ? "is not a key of a target" : "is not a directive",
	              r->target ? target_names : directive_names, instead[0] ? instead : NULL);
}

__attribute__((cold)) static bool refuse_again(struct reader *r, enum key key, struct het_span word)
{
	char what[64] = "was already given", expected[64];

	if (key >= KEY_NODES)
		snprintf(what, sizeof(what), "was already given for this target");
	else if (r->place.line)
		snprintf(what, sizeof(what), "was already given on line %u", r->given_at[key] - 1);
	snprintf(expected, sizeof(expected), "%s only once", keys[key].name);
	return refuse(r->error, r->place, word, what, expected, NULL);
}

__attribute__((cold)) static bool refuse_value(struct reader *r, enum key key, struct het_span value)
{
	const char *expected = expectations[key];
	char what[64];

	if (key == KEY_TARGET && value.len > 4 && !memcmp(value.at, "cpu:", 4))
		expected = "cpu alone, with cpus=N after it for the cores of a node";
	snprintf(what, sizeof(what), "is not a value of %s", keys[key].name);
	return refuse(r->error, r->place, value, what, expected, NULL);
}

__attribute__((cold)) static bool refuse_length(struct reader *r, const char *at, const char *end,
                                                size_t most, const char *expected)
{
	return refuse(r->error, r->place, (struct het_span){at + most, (size_t) (end - at) - most},
	              "is too far right", expected, NULL);
}

static bool open_target(struct reader *r, struct het_span word)
{
	struct het_request *request = r->request;

	if (r->target)
		return refuse(r->error, r->place, word, "is the second one here",
		              r->place.line ? "each target on a #HET line of its own"
		                            : "';' before it, not ','",
		              NULL);
	if (!r->place.line && !r->given_at[KEY_TARGET])
		request->n_targets = 0; /* those of --het replace the script's */
	if (request->n_targets == HET_MAX_TARGETS)
		return refuse(r->error, r->place, word, "is one too many", "at most 16 targets", NULL);
	r->target = &request->target[request->n_targets++];
	memset(r->target, 0, sizeof(*r->target));
	r->target->line = r->place.line;
	memset(&r->given_at[KEY_NODES], 0, sizeof(r->given_at) - sizeof(r->given_at[0]) * KEY_NODES);
	return true;
}

static bool may_take(struct reader *r, enum key key, struct het_span word)
{
	if (key == KEY_TARGET)
		return open_target(r, word);
	if (key == KEY_DATA) {
		if (!r->place.line && !r->given_at[KEY_DATA])
			r->request->n_data = 0;
		if (r->request->n_data == HET_MAX_DATA)
			return refuse(r->error, r->place, word, "is one too many", "at most 8 data items",
			              NULL);
		return true;
	}
	if (key >= KEY_NODES && !r->target)
		return refuse(r->error, r->place, word, "is a key of a target",
		              r->place.line ? "target=KIND before it on the same line"
		                            : "target=KIND and ',' before it",
		              NULL);
	if (key < KEY_NODES && !r->place.line && r->target)
		return refuse(r->error, r->place, word, "is a directive of its own", "';' before it, not ','",
		              NULL);
	if (r->given_at[key])
		return refuse_again(r, key, word);
	if (key == KEY_XCLBIN && strcmp(r->target->kind, "fpga"))
		return refuse(r->error, r->place, word, "is a key of fpga targets",
		              "it only after target=fpga[:TYPE][:COUNT]", NULL);
	if (key < KEY_NODES)
		r->request->given |= given_bit[key];
	return true;
}

/* One KEY=VALUE. */
static bool read_word(struct reader *r, struct het_span word)
{
	struct het_span value = word, name = take_until(&value, '=');
	int key = 0;

	if (!r->first_place.origin) {
		r->first_place = r->place;
		r->first_word = word;
	}
	if (r->hetjob_at)
		return refuse(
		        r->error, r->place, word, "comes after '#SBATCH hetjob'",
		        "`#SBATCH --het=` here, since Slurm hands the script to the first component only",
		        NULL);
	if (!r->place.line && span_is(word, "off"))
		return refuse(r->error, r->place, word, "is not alone", "off without any directive", NULL);
	if (name.len == word.len)
		return refuse(r->error, r->place, word, "is not KEY=VALUE", "KEY=VALUE without blanks", NULL);
	while (key < KEY_COUNT && !(keys[key].len == name.len && keys[key].name[0] == name.at[0] &&
	                            !memcmp(keys[key].name, name.at, name.len)))
		key++;
	if (key == KEY_COUNT)
		return refuse_key(r, name);
	if (!may_take(r, (enum key) key, name))
		return false;
	r->given_at[key] = r->place.line + 1;
	return read_value((enum key) key, value, r->request, r->target) ||
	       refuse_value(r, (enum key) key, value);
}

static bool read_line(struct reader *r, const char *at, const char *end)
{
	struct het_span rest = trim(at + strlen("#HET"), end);

	r->place.origin = at;
	r->target = NULL;
	if (rest.at + rest.len - at > HET_MAX_LINE)
		return refuse_length(r, at, rest.at + rest.len, HET_MAX_LINE, "at most 4096 bytes on a line");
	while (rest.len) {
		struct het_span word = {rest.at, 0};

		while (word.len < rest.len && !is_blank(word.at[word.len]))
			word.len++;
		if (!read_word(r, word))
			return false;
		rest = trim(word.at + word.len, rest.at + rest.len);
	}
	return true;
}

static bool starts_with(const char *at, const char *end, const char *prefix)
{
	const size_t n = strlen(prefix);

	return (size_t) (end - at) > n && !memcmp(at, prefix, n) && is_blank(at[n]);
}

/* As sbatch sees the line that ends a component's options. */
static bool is_hetjob(const char *at, const char *end)
{
	struct het_span rest, word;

	if ((size_t) (end - at) < 7 || memcmp(at, "#SBATCH", 7))
		return false;
	rest = trim(at + 7, end);
	word = (struct het_span){rest.at, 0};
	while (word.len < rest.len && !is_blank(word.at[word.len]))
		word.len++;
	return (word.len == 6 && !strncasecmp(word.at, "hetjob", 6)) ||
	       (word.len == 7 && !strncasecmp(word.at, "packjob", 7));
}

/* Where a line ends. A NUL in it ends the text, too: *end moves there. */
static const char *find_line_end(const char *at, const char **end)
{
	const char *newline = memchr(at, '\n', (size_t) (*end - at)), *nul;

	if (!newline)
		newline = *end;
	nul = memchr(at, '\0', (size_t) (newline - at));
	return nul ? *end = nul : newline;
}

/*
 * The leading block of a script, as sbatch reads it: up to the first line that
 * holds anything but blanks and does not begin with `#` after them.
 */
static bool read_script(struct reader *r, const char *at, size_t len)
{
	const char *end = at + (len < HET_MAX_SCAN ? len : HET_MAX_SCAN), *text = at, *next;

	r->place.line = 1;
	while (text < end) {
		if (*text == '\n') {
			r->place.line++;
			at = ++text;
			continue;
		}
		if (is_blank(*text) || *text == '\r' || *text == '\v' || *text == '\f') {
			text++;
			continue;
		}
		if (*text != '#')
			break;
		next = find_line_end(text, &end);
		if (text == at && starts_with(at, next, "#HET")) {
			if (!read_line(r, at, next))
				return false;
		} else if (text == at && is_hetjob(at, next)) {
			r->hetjob_at = r->place.line;
		}
		text = next;
	}
	return true;
}

/* --het: directives apart by ';', the keys of a target by ','. */
static bool read_option(struct reader *r, struct het_span option)
{
	struct het_span rest = option;

	memset(r->given_at, 0, sizeof(r->given_at));
	r->hetjob_at = 0;
	r->place = (struct het_place){option.at, 0};
	if (option.len > HET_MAX_OPTION)
		return refuse_length(r, option.at, option.at + option.len, HET_MAX_OPTION,
		                     "at most 16384 bytes");
	while (rest.len) {
		struct het_span directive = take_until(&rest, ';');

		directive = trim(directive.at, directive.at + directive.len);
		r->target = NULL;
		if (directive.len > HET_MAX_LINE)
			return refuse_length(r, directive.at, directive.at + directive.len, HET_MAX_LINE,
			                     "at most 4096 bytes in a directive");
		if (directive.len > 7 && !memcmp(directive.at, "target=", 7)) {
			do {
				struct het_span item = take_until(&directive, ',');

				if (!read_word(r, trim(item.at, item.at + item.len)))
					return false;
			} while (directive.len);
		} else if (directive.len && !read_word(r, directive)) {
			return false;
		}
	}
	return true;
}

enum het_parse het_parse(const char *script, size_t script_len, const char *option, size_t option_len,
                         struct het_request *request, struct het_error *error)
{
	struct reader r = {.request = request, .error = error};
	struct het_span text = {option, 0}, word;

	clear_request(request);
	if (option) {
		text.len = strnlen(option, option_len);
		word = trim(text.at, text.at + text.len);
		if (span_is(word, "off")) {
			request->given = HET_GIVEN_OFF;
			return HET_PARSE_NONE;
		}
	}
	if (script && !read_script(&r, script, script_len))
		return HET_PARSE_BAD;
	if (text.len && !read_option(&r, text))
		return HET_PARSE_BAD;
	if (!r.first_place.origin)
		return HET_PARSE_NONE;
	if (!request->n_targets) {
		refuse(error, r.first_place, r.first_word, "stands without a target",
		       "at least one target=KIND[:TYPE][:COUNT]", NULL);
		return HET_PARSE_BAD;
	}
	return HET_PARSE_OK;
}

size_t het_render(const struct het_request *request, char *out, size_t size)
{
	struct writer w = {out, size, 0};

	write_request(&w, request);
	return end_text(&w);
}

size_t het_render_target(const struct het_target *target, char *out, size_t size)
{
	struct writer w = {out, size, 0};

	write_target(&w, target);
	return end_text(&w);
}
