/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin_cloud.h"

#include <string.h>
#include <unistd.h>

#include "plugin_message.h"
#include "plugin_stats.h"
#include "reasons.h"
#include "slurm_compat.h"

/* The next name of a comma list, without blanks; returns what follows, or NULL when there is no more. */
static const char *next_name(const char *list, const char **name, size_t *n)
{
	list += strspn(list, ", \t");
	if (!*list)
		return NULL;
	*name = list;
	*n = strcspn(list, ", \t");
	return list + *n;
}

int het_names_cloud(const struct het_settings *settings, const char *partitions)
{
	const char *name, *cloud;
	size_t n, m;

	if (!settings->cloud[0] || !partitions)
		return 0;
	while ((partitions = next_name(partitions, &name, &n)))
		for (const char *rest = settings->cloud; (rest = next_name(rest, &cloud, &m));)
			if (n == m && !memcmp(name, cloud, n))
				return 1;
	return 0;
}

__attribute__((cold)) int het_refuse_cloud(char **message)
{
	het_stats_count(HET_STAT_refused_cloud);
	if (message)
		het_tell(message,
		         "hetslurm: jobs get to this partition only through hetslurm, which sets the money "
		         "aside first; leave it out and write: #HET burst=allow (or burst=only) "
		         "preemptible=yes");
	return ESLURM_REQUESTED_PART_CONFIG_UNAVAILABLE;
}

int het_check_cloud_move(const struct het_settings *settings, const char *partitions, unsigned int submit_uid,
                         char **message)
{
	if (!submit_uid || submit_uid == getuid() || !het_names_cloud(settings, partitions))
		return SLURM_SUCCESS;
	return het_refuse_cloud(message);
}

void het_leave_cloud_out(const struct het_settings *settings, const struct het_view *view, uint32_t *row)
{
	uint32_t last = UINT32_MAX;
	int cloud = 0;

	/* Pools of a partition stand together. */
	for (uint32_t p = 0; settings->cloud[0] && p < view->n_pools; p++) {
		uint32_t part = view->pool.part[p];

		if (part != last)
			cloud = het_names_cloud(settings, view->str + view->part.name[part]);
		last = part;
		if (cloud)
			row[p] |= HET_WHY_ROOT_ONLY;
	}
}
