/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin_text.h"

#define EACH_BYTE UINT64_C(0x0101010101010101)
#define TOP_BITS (EACH_BYTE << 7)

void het_text_bytes(struct het_text *text, const char *bytes, size_t n)
{
	if (text->full || n >= text->size - text->used) {
		text->full = 1;
		return;
	}
	memcpy(text->out + text->used, bytes, n);
	text->used += n;
	text->out[text->used] = 0;
}

int het_text_field(struct het_text *text, const char *name, char end)
{
	char *out = text->out + text->used;
	size_t room = text->size - text->used, n = 0;

	for (; name[n] && name[n] != '|' && name[n] != ';' && name[n] != '\n' && n + 2 < room; n++)
		out[n] = name[n];
	if (name[n] || n + 2 > room) {
		*out = 0;
		return 0;
	}
	if (end)
		out[n++] = end;
	out[n] = 0;
	text->used += n;
	return 1;
}

void het_text_integer(struct het_text *text, uint64_t value)
{
	char digits[24];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char) ('0' + value % 10);
		value /= 10;
	} while (value);
	het_text_bytes(text, digits + at, sizeof(digits) - at);
}

void het_text_number(struct het_text *text, double value, int decimals, int trim)
{
	static const uint32_t power[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
	char digits[8];
	uint64_t scaled;
	uint32_t fraction;

	if (!(value >= 0 && value < 1e12) || decimals < 0 || decimals > 6) {
		het_text_add(text, "?");
		return;
	}
	scaled = (uint64_t) (value * power[decimals] + 0.5);
	het_text_integer(text, scaled / power[decimals]);
	fraction = (uint32_t) (scaled % power[decimals]);
	while (trim && decimals && fraction % 10 == 0) {
		fraction /= 10;
		decimals--;
	}
	if (!decimals)
		return;
	digits[0] = '.';
	for (int i = decimals; i; i--, fraction /= 10)
		digits[i] = (char) ('0' + fraction % 10);
	het_text_bytes(text, digits, (size_t) decimals + 1);
}

static int is_plain(char c)
{
	return (unsigned char) c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
}

/* A top bit for the lowest byte that is `byte`, and perhaps for some above it. */
static uint64_t find_byte(uint64_t word, uint8_t byte)
{
	uint64_t zero = word ^ (EACH_BYTE * byte);

	return (zero - EACH_BYTE) & ~zero & TOP_BITS;
}

/* How many bytes JSON takes as they are. */
static size_t count_plain(const char *text, size_t n)
{
	size_t i = 0;
	uint64_t word;

	for (; i + sizeof(word) <= n; i += sizeof(word)) {
		memcpy(&word, text + i, sizeof(word));
		if (((word - EACH_BYTE * 0x20) & ~word & TOP_BITS) | find_byte(word, '"') |
		    find_byte(word, '\\') | find_byte(word, 0x7f))
			break;
	}
	while (i < n && is_plain(text[i]))
		i++;
	return i;
}

void het_text_json(struct het_text *text, const char *value)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = strlen(value);

	while (n) {
		size_t plain = count_plain(value, n);
		char escaped[6] = "\\u00";

		het_text_bytes(text, value, plain);
		value += plain;
		n -= plain;
		if (!n--)
			return;
		if (*value == '"' || *value == '\\') {
			escaped[1] = *value;
			het_text_bytes(text, escaped, 2);
		} else {
			escaped[4] = hex[(unsigned char) *value >> 4];
			escaped[5] = hex[*value & 15];
			het_text_bytes(text, escaped, 6);
		}
		value++;
	}
}

static void add_parts(struct het_text *text, uint64_t large, const char *large_unit, uint64_t small,
                      const char *small_unit)
{
	het_text_integer(text, large);
	het_text_add(text, large_unit);
	if (!small)
		return;
	het_text_add(text, " ");
	het_text_integer(text, small);
	het_text_add(text, small_unit);
}

void het_text_duration(struct het_text *text, double seconds)
{
	uint64_t s = seconds < 1e11 ? (uint64_t) (seconds + 0.5) : (uint64_t) 1e11;
	uint64_t m = (s + 30) / 60;

	if (s < 100)
		add_parts(text, s, "s", 0, "");
	else if (m < 100)
		add_parts(text, m, "m", 0, "");
	else if (m < 48 * 60)
		add_parts(text, m / 60, "h", m % 60, "m");
	else
		add_parts(text, m / 1440, "d", m / 60 % 24, "h");
}
