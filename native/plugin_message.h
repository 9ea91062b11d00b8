/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one line that the author reads below his sbatch. */
#ifndef HETSLURM_PLUGIN_MESSAGE_H
#define HETSLURM_PLUGIN_MESSAGE_H

#include "plugin_record.h"
#include "plugin_text.h"

/* Where, when, how long, what cost; and why it waits when the chosen pool cannot start it now. */
void het_tell_placed(const struct het_view *view, const struct het_record *record, struct het_text *text);

/* Why one target cannot run: "; gpu:a100:1: its nodes have too few devices, …", cut at a whole reason. */
void het_tell_reasons(const struct het_target *target, uint32_t reasons, struct het_text *text);

/* Add a line for the author, after what a plugin before us in JobSubmitPlugins told. */
void het_tell(char **message, const char *text);

#endif
