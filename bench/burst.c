/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Submit one script many times from one process, as workflow managers do through libslurm:
 * no process starts between two submits. Usage: burst SCRIPT COUNT
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>

extern char **environ;

static char *read_file(const char *path)
{
	static char text[65536];
	FILE *file = fopen(path, "r");

	if (!file)
		return NULL;
	text[fread(text, 1, sizeof(text) - 1, file)] = 0;
	fclose(file);
	return text;
}

int main(int argc, char **argv)
{
	char *script = argc == 3 ? read_file(argv[1]) : NULL;
	uint32_t n_environ = 0;

	if (!script) {
		fprintf(stderr, "usage: burst SCRIPT COUNT\n");
		return 2;
	}
	while (environ[n_environ])
		n_environ++;
	for (int i = 0; i < atoi(argv[2]); i++) {
		job_desc_msg_t desc;
		submit_response_msg_t *answer = NULL;

		slurm_init_job_desc_msg(&desc);
		desc.script = script;
		desc.name = "burst";
		desc.priority = 0;
		desc.user_id = geteuid();
		desc.group_id = getegid();
		desc.work_dir = "/tmp";
		desc.std_out = "/dev/null";
		desc.environment = environ;
		desc.env_size = n_environ;
		desc.min_nodes = 1;
		if (slurm_submit_batch_job(&desc, &answer)) {
			fprintf(stderr, "burst: %s\n", slurm_strerror(slurm_get_errno()));
			return 1;
		}
		slurm_free_submit_response_response_msg(answer);
	}
	return 0;
}
