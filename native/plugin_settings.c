/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin_settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "slurm_compat.h"

#define FILE_NAME "job_submit_hetslurm.conf"
#define MAX_LINES 1000

static char *trim(char *text)
{
	size_t n;

	while (isspace((unsigned char) *text))
		text++;
	for (n = strlen(text); n && isspace((unsigned char) text[n - 1]); n--)
		;
	text[n] = 0;
	return text;
}

static const char *take_path(char *out, size_t size, const char *value)
{
	if (value[0] != '/')
		return "expected an absolute path";
	if (strlen(value) >= size - 16)
		return "the path is too long";
	snprintf(out, size, "%s", value);
	return NULL;
}

const char *het_settings_line(struct het_settings *settings, char *line)
{
	char *comment = strchr(line, '#'), *equals, *key, *value;

	if (comment)
		*comment = 0;
	key = trim(line);
	if (!*key)
		return NULL;
	equals = strchr(key, '=');
	if (!equals)
		return "expected Key=value";
	*equals = 0;
	key = trim(key);
	value = trim(equals + 1);
	if (!strcasecmp(key, "Snapshot"))
		return take_path(settings->snapshot, sizeof(settings->snapshot), value);
	if (!strcasecmp(key, "Stats"))
		return take_path(settings->stats, sizeof(settings->stats), value);
	if (!strcasecmp(key, "OnAbsent")) {
		if (strcasecmp(value, "hold") && strcasecmp(value, "reject"))
			return "expected OnAbsent=hold or OnAbsent=reject";
		settings->reject_absent = !strcasecmp(value, "reject");
		return NULL;
	}
	if (!strcasecmp(key, "CloudPartitions")) {
		if (strlen(value) >= sizeof(settings->cloud))
			return "the list is too long";
		strcpy(settings->cloud, value);
		return NULL;
	}
	if (!strcasecmp(key, "DummyGres")) {
		if (strlen(value) >= sizeof(settings->dummy))
			return "the list is too long";
		strcpy(settings->dummy, value);
		return NULL;
	}
	return "unknown key: expected Snapshot, Stats, OnAbsent, CloudPartitions or DummyGres";
}

static void file_path(char *out, size_t size)
{
	const char *conf = getenv("SLURM_CONF");
	const char *slash = conf ? strrchr(conf, '/') : NULL;

	if (slash)
		snprintf(out, size, "%.*s/" FILE_NAME, (int) (slash - conf), conf);
	else
		snprintf(out, size, "/etc/slurm/" FILE_NAME);
}

void het_settings_read(struct het_settings *settings)
{
	char path[4096], line[8192];
	FILE *file;

	memset(settings, 0, sizeof(*settings));
	strcpy(settings->snapshot, "/run/hetslurm/snapshot");
	strcpy(settings->stats, "/run/hetslurm/stats");
	file_path(path, sizeof(path));
	file = fopen(path, "re");
	if (!file) {
		if (errno != ENOENT)
			slurm_error("hetslurm: %s: %s; the defaults hold", path, strerror(errno));
		return;
	}
	for (int number = 1; number <= MAX_LINES && fgets(line, sizeof(line), file); number++) {
		const char *wrong = het_settings_line(settings, line);

		if (wrong)
			slurm_error("hetslurm: %s: line %d: %s; the line is left out", path, number, wrong);
	}
	fclose(file);
}
