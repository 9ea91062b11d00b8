/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a job landed, out of its record or out of HET_MAP. Pure; for SPANK. */
#ifndef HETSLURM_SPANK_LANDING_H
#define HETSLURM_SPANK_LANDING_H

#include <stddef.h>

struct het_where {
	char kind[256], type[256], target[256], pool[256];
};

/* From the JSON record in admin_comment; 1, or 0 when it is no record of a placed job. */
int het_where_from_record(const char *record, struct het_where *where);

/* From "PARTITION|KIND|TYPE|TARGET|POOL;…", the entry of this partition; 1 or 0. */
int het_where_from_map(const char *map, const char *partition, struct het_where *where);

#endif
