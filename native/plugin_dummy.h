/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dummy devices: nodes have them so that pending jobs can leave real ones on Slurm 22.05; nobody asks for
 * them. */
#ifndef HETSLURM_PLUGIN_DUMMY_H
#define HETSLURM_PLUGIN_DUMMY_H

#include "plugin_settings.h"
#include "slurm_compat.h"

/*
 * Turn a submit away that asks for a GRES in a partition where it is a dummy; *message gets the reason.
 * Returns what job_submit() returns. Costs nothing where there are no dummies.
 */
int het_check_dummies(const struct het_settings *settings, const job_desc_msg_t *desc, char **message);

#endif
