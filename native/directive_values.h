/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values of directives: each reads a whole span or refuses it. Pure, bounded by
 * the span, independent of locale; no result is written on failure.
 */
#ifndef HETSLURM_DIRECTIVE_VALUES_H
#define HETSLURM_DIRECTIVE_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct het_span {
	const char *at;
	size_t len;
};

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static inline bool is_letter(char c)
{
	return is_lower((char) (c | 0x20));
}

static inline bool span_is(struct het_span s, const char *text)
{
	return s.len == strlen(text) && !memcmp(s.at, text, s.len);
}

/* The part of *rest before the first separator, which is dropped; *rest keeps what follows. */
static inline struct het_span take_until(struct het_span *rest, char separator)
{
	struct het_span head = {.at = rest->at, .len = 0};

	while (head.len < rest->len && head.at[head.len] != separator)
		head.len++;
	rest->at += head.len;
	rest->len -= head.len;
	if (rest->len) {
		rest->at++;
		rest->len--;
	}
	return head;
}

/* [a-z_][a-z0-9_-]* */
static inline bool is_kind(struct het_span s)
{
	if (!s.len || !(is_lower(s.at[0]) || s.at[0] == '_'))
		return false;
	for (size_t i = 1; i < s.len; i++)
		if (!is_lower(s.at[i]) && !is_digit(s.at[i]) && s.at[i] != '_' && s.at[i] != '-')
			return false;
	return true;
}

/* Letters, digits and the bytes of more, at least one. */
static inline bool is_word(struct het_span s, const char *more)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_letter(s.at[i]) && !is_digit(s.at[i]) && (!s.at[i] || !strchr(more, s.at[i])))
			return false;
	return s.len > 0;
}

/* How many bytes the UTF-8 character at s takes; 0 when it is none. Overlong forms and surrogates are none.
 */
static inline size_t utf8_length(struct het_span s)
{
	const unsigned char *b = (const unsigned char *) s.at;
	size_t n = !s.len        ? 0
	           : b[0] < 0x80 ? 1
	           : b[0] < 0xc2 ? 0
	           : b[0] < 0xe0 ? 2
	           : b[0] < 0xf0 ? 3
	           : b[0] < 0xf5 ? 4
	                         : 0;

	if (n > s.len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((b[i] & 0xc0) != 0x80)
			return 0;
	if ((n == 3 && ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f))) ||
	    (n == 4 && ((b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))))
		return 0;
	return n;
}

/* Printable UTF-8 without blanks, `;` and the byte `but`; at least one character. */
static inline bool is_uri(struct het_span s, char but)
{
	size_t n;

	for (size_t i = 0; i < s.len; i += n) {
		n = utf8_length((struct het_span){s.at + i, s.len - i});
		if (!n || (unsigned char) s.at[i] <= ' ' || s.at[i] == 0x7f || s.at[i] == ';' ||
		    s.at[i] == but)
			return false;
		/* U+0080 to U+009F are controls */
		if (n == 2 && (unsigned char) s.at[i] == 0xc2 && (unsigned char) s.at[i + 1] < 0xa0)
			return false;
	}
	return s.len > 0;
}

/* A whole number, min..max. */
static inline bool read_whole(struct het_span s, uint64_t min, uint64_t max, uint64_t *value)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		if (!is_digit(s.at[i]) || __builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (uint64_t) (s.at[i] - '0'), &n))
			return false;
	if (!s.len || n < min || n > max)
		return false;
	*value = n;
	return true;
}

/*
 * A size with K, M, G or T (1024, either case), or with none of them in units of
 * 2^plain_shift bytes: in units of 2^unit_shift bytes, rounded up.
 */
static inline bool read_size(struct het_span s, unsigned plain_shift, unsigned unit_shift, uint64_t max,
                             uint64_t *value)
{
	static const char suffixes[] = "kmgt";
	unsigned shift = plain_shift;
	uint64_t n;

	if (s.len && is_letter(s.at[s.len - 1])) {
		const char *suffix = strchr(suffixes, s.at[s.len - 1] | 0x20);

		if (!suffix)
			return false;
		shift = 10 * (unsigned) (suffix - suffixes + 1);
		s.len--;
	}
	if (!read_whole(s, 0, UINT64_MAX >> shift, &n))
		return false;
	n <<= shift;
	n = (n >> unit_shift) + ((n & ((UINT64_C(1) << unit_shift) - 1)) != 0);
	if (n > max)
		return false;
	*value = n;
	return true;
}

/*
 * A time as Slurm takes it: MM, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS, in seconds; > 0.
 * As in Slurm, no part has a limit of its own: 1:90 is 150 s.
 */
static inline bool read_time(struct het_span s, uint64_t *seconds)
{
	uint64_t total = 0, part[4] = {0}; /* the parts after the days */
	bool days = false;
	size_t n = 0, digits = 0;

	for (size_t i = 0; i <= s.len; i++) {
		char c = i < s.len ? s.at[i] : ':';

		if (is_digit(c)) {
			part[n] = part[n] * 10 + (uint64_t) (c - '0');
			digits++;
			if (part[n] > UINT32_MAX)
				return false;
		} else if (!digits) {
			return false;
		} else if (c == '-' && !days && !n) {
			days = true;
			total = part[0] * 86400;
			part[0] = digits = 0;
		} else if (c == ':' && n < 3) {
			n++;
			digits = 0;
		} else {
			return false;
		}
	}
	if (n == 3 || days)
		total += part[0] * 3600 + part[1] * 60 + part[2];
	else
		total += part[0] * 60 + part[1];
	if (!total || total > UINT32_MAX)
		return false;
	*seconds = total;
	return true;
}

/* 2d, 12h, 90m, 30s, or several of them, each once and the longer before the shorter: seconds; > 0. */
static inline bool read_duration(struct het_span s, uint64_t *seconds)
{
	static const struct {
		char unit;
		uint32_t seconds;
	} units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
	uint64_t total = 0, n;
	size_t next = 0;

	while (s.len) {
		struct het_span digits = {s.at, 0};

		while (digits.len < s.len && is_digit(s.at[digits.len]))
			digits.len++;
		if (digits.len == s.len || !read_whole(digits, 0, UINT32_MAX, &n))
			return false;
		while (next < 4 && units[next].unit != s.at[digits.len])
			next++;
		if (next == 4)
			return false;
		total += n * units[next++].seconds;
		s.at += digits.len + 1;
		s.len -= digits.len + 1;
	}
	if (!total || total > UINT32_MAX)
		return false;
	*seconds = total;
	return true;
}

/* An amount of money with at most 6 decimals, in millionths. */
static inline bool read_micro(struct het_span s, int64_t *micro)
{
	struct het_span whole = take_until(&s, '.');
	bool point = s.at != whole.at + whole.len;
	uint64_t n, fraction = 0;

	if (!read_whole(whole, 0, INT64_MAX / 1000000 - 1, &n) || s.len > 6 || (point && !s.len))
		return false;
	if (s.len && !read_whole(s, 0, 999999, &fraction))
		return false;
	for (size_t i = s.len; s.len && i < 6; i++)
		fraction *= 10;
	*micro = (int64_t) (n * 1000000 + fraction);
	return true;
}

#endif
