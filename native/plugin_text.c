/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin_text.h"

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

void het_text_json(struct het_text *text, const char *value)
{
	static const char hex[] = "0123456789abcdef";

	while (*value) {
		size_t plain = 0;
		char escaped[6] = "\\u00";

		while ((unsigned char) value[plain] >= 0x20 && value[plain] != '"' && value[plain] != '\\' &&
		       value[plain] != 0x7f)
			plain++;
		het_text_bytes(text, value, plain);
		value += plain;
		if (!*value)
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
