/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Civil time to Unix time. libc's mktime() reads files and takes a lock that all
 * threads share, so the local zone's switches are listed once, when this code is loaded,
 * and never written again. As with libc, a new zone file needs a restart.
 */
#ifndef HETSLURM_DIRECTIVE_ZONE_H
#define HETSLURM_DIRECTIVE_ZONE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "directive_values.h"

#define DAY_S 86400
#define YEAR_10000_S INT64_C(253402300800)
#define ZONE_PAST_S ((int64_t) 400 * DAY_S)
#define ZONE_AHEAD_S ((int64_t) 12 * 366 * DAY_S)
#define ZONE_STEP_S ((int64_t) 10 * DAY_S) /* no zone switches there and back within it */
#define ZONE_MAX_SWITCHES 64

static struct {
	uint32_t n;
	int64_t at[ZONE_MAX_SWITCHES];         /* Unix time of each switch, rising */
	int32_t offset[ZONE_MAX_SWITCHES + 1]; /* seconds east of UTC before each, and after the last */
} local_zone;

static int32_t zone_offset_at(int64_t unix_s)
{
	time_t t = (time_t) unix_s;
	struct tm tm;

	return localtime_r(&t, &tm) ? (int32_t) tm.tm_gmtoff : 0;
}

__attribute__((constructor)) static void list_zone_switches(void)
{
	int64_t now = (int64_t) time(NULL), t = now - ZONE_PAST_S;

	tzset();
	local_zone.offset[0] = zone_offset_at(t);
	for (; t < now + ZONE_AHEAD_S && local_zone.n < ZONE_MAX_SWITCHES; t += ZONE_STEP_S) {
		int64_t before = t, after = t + ZONE_STEP_S;
		int32_t old = local_zone.offset[local_zone.n];

		if (zone_offset_at(after) == old)
			continue;
		while (after - before > 1) {
			int64_t middle = before + (after - before) / 2;

			if (zone_offset_at(middle) == old)
				before = middle;
			else
				after = middle;
		}
		local_zone.at[local_zone.n++] = after;
		local_zone.offset[local_zone.n] = zone_offset_at(after);
	}
}

/* A wall clock's reading (as if it were UTC) to Unix time. Read twice in autumn: the first; skipped in
 * spring: later. */
static inline int64_t unix_from_local(int64_t wall_s)
{
	uint32_t i = 0;

	while (i < local_zone.n && wall_s - local_zone.offset[i] >= local_zone.at[i])
		i++;
	if (i && wall_s - local_zone.offset[i] < local_zone.at[i - 1])
		i--;
	return wall_s - local_zone.offset[i];
}

/* Days from 1970-01-01 in the Gregorian calendar, and back (Hinnant, "chrono-compatible low-level date
 * algorithms"). */
static inline int64_t days_from_civil(int64_t year, uint32_t month, uint32_t day)
{
	int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (int64_t) (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct civil {
	int64_t year;
	uint32_t month, day;
};

static inline struct civil civil_from_days(int64_t days)
{
	int64_t z = days + 719468, era = z / 146097, of_era = z - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint32_t of_year = (uint32_t) (of_era - (365 * year + year / 4 - year / 100));
	uint32_t month = (5 * of_year + 2) / 153;
	struct civil civil = {.day = of_year - (153 * month + 2) / 5 + 1,
	                      .month = month < 10 ? month + 3 : month - 9};

	civil.year = year + era * 400 + (civil.month <= 2);
	return civil;
}

static inline bool is_leap(uint64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Digits, 'd' in the pattern; anything else stands for itself. */
static inline bool matches(struct het_span s, const char *pattern)
{
	if (s.len != strlen(pattern))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (pattern[i] == 'd' ? !is_digit(s.at[i]) : s.at[i] != pattern[i])
			return false;
	return true;
}

static inline uint32_t two_digits(const char *at)
{
	return (uint32_t) ((at[0] - '0') * 10 + (at[1] - '0'));
}

/* YYYY-MM-DDTHH:MM[:SS] with Z, +HH:MM or -HH:MM after it, or else in the local zone: Unix time. */
static inline bool read_timestamp(struct het_span s, int64_t *unix_s)
{
	static const uint8_t month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	struct het_span zone = {s.at + s.len, 0};
	uint32_t year, month, day, hour, minute, second = 0;
	int64_t wall, east = 0;

	if (s.len && s.at[s.len - 1] == 'Z')
		zone = (struct het_span){s.at + s.len - 1, 1};
	else if (s.len > 6 && (matches((struct het_span){s.at + s.len - 6, 6}, "+dd:dd") ||
	                       matches((struct het_span){s.at + s.len - 6, 6}, "-dd:dd")))
		zone = (struct het_span){s.at + s.len - 6, 6};
	s.len -= zone.len;
	if (!matches(s, "dddd-dd-ddTdd:dd") && !matches(s, "dddd-dd-ddTdd:dd:dd"))
		return false;
	year = two_digits(s.at) * 100 + two_digits(s.at + 2);
	month = two_digits(s.at + 5);
	day = two_digits(s.at + 8);
	hour = two_digits(s.at + 11);
	minute = two_digits(s.at + 14);
	if (s.len > 16)
		second = two_digits(s.at + 17);
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > month_days[month - 1] ||
	    (month == 2 && day == 29 && !is_leap(year)) || hour > 23 || minute > 59 || second > 59)
		return false;
	wall = days_from_civil(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
	if (zone.len == 6) {
		if (two_digits(zone.at + 1) > 23 || two_digits(zone.at + 4) > 59)
			return false;
		east = two_digits(zone.at + 1) * 3600 + two_digits(zone.at + 4) * 60;
		east = zone.at[0] == '-' ? -east : east;
	}
	wall = zone.len ? wall - east : unix_from_local(wall);
	if (wall <= 0 || wall >= YEAR_10000_S)
		return false;
	*unix_s = wall;
	return true;
}

#endif
