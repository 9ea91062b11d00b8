/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Partitions of cloud nodes: only the hetslurm controller sends jobs there, when money is set aside for them.
 */
#ifndef HETSLURM_PLUGIN_CLOUD_H
#define HETSLURM_PLUGIN_CLOUD_H

#include "plugin_settings.h"
#include "score_types.h"

/* Whether a list of partitions as users write it names a cloud partition. Costs nothing where there is none.
 */
int het_names_cloud(const struct het_settings *settings, const char *partitions);

/* Turn a submit away that asks for a cloud partition by itself; returns what job_submit() returns. */
int het_refuse_cloud(char **message);

/*
 * Whether a change of a job may be made: only SlurmUser and root move a job to a cloud partition. Returns
 * what job_modify() returns; *message (NULL where the release has none) gets the reason.
 */
int het_check_cloud_move(const struct het_settings *settings, const char *partitions, unsigned int submit_uid,
                         char **message);

/* Give every pool of a cloud partition its reason in row: root's jobs, too, get there only with money. */
void het_leave_cloud_out(const struct het_settings *settings, const struct het_view *view, uint32_t *row);

#endif
