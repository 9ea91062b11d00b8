/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decimal fractions, read and written the same under every locale. A number
 * is m x 10^e with m < 10^15 and |e| <= 22: both factors are exact doubles, so one
 * multiplication or division gives the double nearest to the decimal (Clinger 1990),
 * and what is written reads back to the same bits.
 */
#ifndef HETSLURM_DIRECTIVE_NUMBER_H
#define HETSLURM_DIRECTIVE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "directive_values.h"

#define MAX_SIGNIFICAND UINT64_C(1000000000000000) /* 10^15 */

static inline double scale_decimal(uint64_t m, int e)
{
	static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
	                               1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

	return e < 0 ? (double) m / power[-e] : (double) m * power[e];
}

/* digits[.digits][e[+-]digits], rounded to 15 significant digits; 0, or min..max. */
static inline bool read_number(struct het_span s, double min, double max, double *value)
{
	uint64_t m = 0;
	int e = 0, digits = 0, dropped = 0, exponent = 0, sign = 1;
	bool point = false, round_up = false;
	double v;
	size_t i;

	for (i = 0; i < s.len && (is_digit(s.at[i]) || (s.at[i] == '.' && !point && digits)); i++) {
		if (s.at[i] == '.') {
			point = true;
			continue;
		}
		digits++;
		e -= point;
		if (m < MAX_SIGNIFICAND / 10) {
			m = m * 10 + (uint64_t) (s.at[i] - '0');
			continue;
		}
		if (!dropped++)
			round_up = s.at[i] >= '5';
		e++;
	}
	if (!digits || s.at[i - 1] == '.')
		return false;
	if (i < s.len) {
		if ((s.at[i++] | 0x20) != 'e')
			return false;
		if (i < s.len && (s.at[i] == '-' || s.at[i] == '+'))
			sign = s.at[i++] == '-' ? -1 : 1;
		if (i == s.len)
			return false;
		for (; i < s.len; i++) {
			if (!is_digit(s.at[i]))
				return false;
			if (exponent < 10000)
				exponent = exponent * 10 + (s.at[i] - '0');
		}
	}
	m += round_up;
	e += sign * exponent;
	if (m) {
		for (; m % 10 == 0 && e < 22; e++)
			m /= 10;
		for (; e > 22 && m < MAX_SIGNIFICAND / 10; e--)
			m *= 10;
		if (e < -22 || e > 22)
			return false;
	} else {
		e = 0;
	}
	v = scale_decimal(m, e);
	if (m && !(v >= min && v <= max))
		return false;
	*value = v;
	return true;
}

/* The shortest m x 10^e that reads back as value, or the nearest of 15 digits; m = 0 when value is out of
 * range. */
static inline uint64_t split_number(double value, int *e)
{
	for (*e = 22; *e >= -22; --*e) {
		double m = *e < 0 ? value * scale_decimal(1, -*e) : value / scale_decimal(1, *e);

		if (!(m < (double) MAX_SIGNIFICAND)) /* a NaN, too */
			return 0;
		if ((uint64_t) (m + 0.5) && scale_decimal((uint64_t) (m + 0.5), *e) == value)
			return (uint64_t) (m + 0.5);
		if (m >= (double) (MAX_SIGNIFICAND / 10))
			return (uint64_t) (m + 0.5);
	}
	return 0;
}

#endif
