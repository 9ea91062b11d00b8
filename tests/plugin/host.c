/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the plugin outside of slurmctld, on a job_desc made by Slurm's own library.
 *
 *   host PLUGIN REPEAT [FIELD=VALUE …]
 *
 * script= names a file; env= and spank= append a variable; the rest are members of job_desc_msg_t. Prints
 * what the last of REPEAT submits left, a NAME=VALUE a line, and the times in ns.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "slurm_compat.h"

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text;
	long size;

	if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET))
		exit(3);
	text = calloc(1, (size_t) size + 1);
	if (!text || fread(text, 1, (size_t) size, file) != (size_t) size)
		exit(3);
	fclose(file);
	return text;
}

static void append(char ***list, uint32_t *n, const char *value)
{
	slurm_xrecalloc((void **) list, *n + 2, sizeof(char *), true, false, __FILE__, __LINE__, __func__);
	(*list)[(*n)++] = slurm_xstrdup(value);
}

static void set(job_desc_msg_t *desc, const char *name, const char *value)
{
	uint64_t number = strtoull(value, NULL, 0);

#define TEXT(member)                                 \
	if (!strcmp(name, #member)) {                \
		desc->member = slurm_xstrdup(value); \
		return;                              \
	}
#define NUMBER(member)                 \
	if (!strcmp(name, #member)) {  \
		desc->member = number; \
		return;                \
	}
	TEXT(partition)
	TEXT(account)
	TEXT(qos)
	TEXT(features)
	TEXT(tres_per_node)
	TEXT(tres_per_job)
	TEXT(tres_per_task)
	TEXT(req_nodes)
	TEXT(exc_nodes)
	TEXT(dependency)
	TEXT(array_inx)
	TEXT(reservation)
	TEXT(alloc_node)
	TEXT(admin_comment)
	NUMBER(user_id)
	NUMBER(min_nodes)
	NUMBER(max_nodes)
	NUMBER(num_tasks)
	NUMBER(ntasks_per_node)
	NUMBER(cpus_per_task)
	NUMBER(min_cpus)
	NUMBER(pn_min_cpus)
	NUMBER(begin_time)
	NUMBER(pn_min_memory)
	NUMBER(time_limit)
	NUMBER(priority)
	if (!strcmp(name, "script")) {
		desc->script = read_file(value);
	} else if (!strcmp(name, "env")) {
		append(&desc->environment, &desc->env_size, value);
	} else if (!strcmp(name, "spank")) {
		append(&desc->spank_job_env, &desc->spank_job_env_size, value);
	} else {
		fprintf(stderr, "no field %s\n", name);
		exit(3);
	}
}

static void show(const job_desc_msg_t *desc)
{
#define SHOW_TEXT(member) printf(#member "=%s\n", desc->member ? desc->member : "")
#define SHOW_NUMBER(member, open)          \
	if (desc->member == (open))        \
		printf(#member "=open\n"); \
	else                               \
		printf(#member "=%llu\n", (unsigned long long) desc->member)
	SHOW_TEXT(partition);
	SHOW_TEXT(tres_per_node);
	SHOW_TEXT(admin_comment);
	SHOW_NUMBER(min_nodes, NO_VAL);
	SHOW_NUMBER(max_nodes, NO_VAL);
	SHOW_NUMBER(num_tasks, NO_VAL);
	SHOW_NUMBER(ntasks_per_node, NO_VAL16);
	SHOW_NUMBER(cpus_per_task, NO_VAL16);
	SHOW_NUMBER(min_cpus, NO_VAL);
	SHOW_NUMBER(pn_min_memory, NO_VAL64);
	SHOW_NUMBER(time_limit, NO_VAL);
	SHOW_NUMBER(priority, NO_VAL);
	SHOW_NUMBER(site_factor, NO_VAL);
	for (uint32_t i = 0; i < desc->env_size; i++)
		printf("env.%s\n", desc->environment[i]);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

static void *need(void *plugin, const char *name)
{
	void *symbol = dlsym(plugin, name);

	if (!symbol) {
		fprintf(stderr, "%s\n", dlerror());
		exit(3);
	}
	return symbol;
}

/* A leak of descriptors raises it. */
static int lowest_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

static void fill(job_desc_msg_t *desc, int argc, char **argv)
{
	slurm_init_job_desc_msg(desc);
	desc->user_id = 1000;
	desc->min_cpus = 1; /* as sbatch fills it in */
	for (int i = 3; i < argc; i++) {
		char name[64] = "";
		const char *equals = strchr(argv[i], '=');

		if (!equals || (size_t) (equals - argv[i]) >= sizeof(name))
			exit(3);
		memcpy(name, argv[i], (size_t) (equals - argv[i]));
		set(desc, name, equals + 1);
	}
}

static void empty(job_desc_msg_t *desc)
{
	char **const lists[] = {desc->environment, desc->spank_job_env};
	const uint32_t sizes[] = {desc->env_size, desc->spank_job_env_size};
	char **const texts[] = {&desc->partition,  &desc->account,       &desc->qos,
	                        &desc->features,   &desc->tres_per_node, &desc->tres_per_job,
	                        &desc->req_nodes,  &desc->array_inx,     &desc->reservation,
	                        &desc->alloc_node, &desc->admin_comment, &desc->tres_per_task,
	                        &desc->exc_nodes,  &desc->dependency};

	for (size_t l = 0; l < 2; l++) {
		char **list = lists[l];

		for (uint32_t i = 0; i < sizes[l]; i++)
			slurm_xfree((void **) &list[i]);
		slurm_xfree((void **) &list);
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		slurm_xfree((void **) texts[i]);
	free(desc->script);
}

int main(int argc, char **argv)
{
	void *plugin = argc > 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	int (*submit)(job_desc_msg_t *, uint32_t, char **), (*start)(void), (*stop)(void), rc = 0;
	long repeat = argc > 2 ? strtol(argv[2], NULL, 10) : 0;

	if (!plugin) {
		fprintf(stderr, "%s\n", argc > 2 ? dlerror() : "usage: host PLUGIN REPEAT FIELD=VALUE…");
		return 3;
	}
	*(void **) &submit = need(plugin, "job_submit");
	*(void **) &start = need(plugin, "init");
	*(void **) &stop = need(plugin, "fini");
	if (start())
		return 4;
	for (long i = 0; i < repeat; i++) {
		job_desc_msg_t desc;
		const char *said = getenv("HOST_MESSAGE"); /* by a plugin before ours */
		char *message = said ? slurm_xstrdup(said) : NULL;
		uint64_t begun;

		fill(&desc, argc, argv);
		begun = now_ns();
		rc = submit(&desc, 1000, &message);
		begun = now_ns() - begun;
		if (i + 1 == repeat) {
			for (char *p = message; p && (p = strchr(p, '\n'));)
				*p = '|';
			printf("rc=%d\nmessage=%s\nlast_ns=%llu\n", rc, message ? message : "",
			       (unsigned long long) begun);
			show(&desc);
		}
		slurm_xfree((void **) &message);
		empty(&desc);
	}
	if (getenv("HOST_STATS")) { /* the statistics page goes away with us */
		char command[4096];

		snprintf(command, sizeof(command), "cat %s > %s.copy", getenv("HOST_STATS"),
		         getenv("HOST_STATS"));
		if (system(command))
			return 5;
	}
	stop();
	if (getenv("HOST_RELOADS")) { /* as often as slurmctld is told to reconfigure */
		int before = lowest_fd();

		for (long i = strtol(getenv("HOST_RELOADS"), NULL, 10); i > 0; i--)
			if (start() || stop())
				return 6;
		printf("kept_fds=%d\n", lowest_fd() - before);
	}
	return 0;
}
