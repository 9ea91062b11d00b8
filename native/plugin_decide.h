/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One job's way through the plugin, from its directives to its rewritten job_desc. */
#ifndef HETSLURM_PLUGIN_DECIDE_H
#define HETSLURM_PLUGIN_DECIDE_H

#include "plugin_request.h"
#include "plugin_settings.h"
#include "snapshot.h"

/*
 * Decide on a job that may have directives. Returns what job_submit() returns; *message gets one line from
 * Slurm's allocator, or stays as it is. The job_desc changes only when SLURM_SUCCESS is returned. reader may
 * be NULL (memory was short at start): no snapshot then.
 */
int het_decide(const struct het_settings *settings, struct het_reader *reader,
               struct het_workspace *workspace, const struct het_texts *texts, job_desc_msg_t *desc,
               uint32_t submit_uid, char **message);

#endif
