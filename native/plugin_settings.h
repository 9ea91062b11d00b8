/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plugin's own few settings: job_submit_hetslurm.conf beside slurm.conf. */
#ifndef HETSLURM_PLUGIN_SETTINGS_H
#define HETSLURM_PLUGIN_SETTINGS_H

#include <stddef.h>

struct het_settings {
	char snapshot[4096];
	char stats[4096];
	char cloud[4096];  /* CloudPartitions: a comma list; "": none */
	char dummy[4096];  /* DummyGres: a comma list of PARTITION:NAME[:TYPE]; "": none */
	int reject_absent; /* OnAbsent=reject */
};

/* Defaults, then the file beside $SLURM_CONF (else in /etc/slurm) if there is one. A bad line is logged and
 * left out. */
void het_settings_read(struct het_settings *settings);

/*
 * Take one line ("Key=value", blank, or a # comment; it is modified). NULL, or what is wrong with it.
 */
const char *het_settings_line(struct het_settings *settings, char *line);

#endif
