/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin_request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "plugin_nodes.h"
#include "plugin_text.h"

/* How Slurm names the value of our SPANK option. */
#define OPTION_VARIABLE "_SLURM_SPANK_OPTION_hetslurm_het="
#define MAX_ARRAY (4u << 20)
#define MAX_VARIABLES (1u << 16)

int het_find_texts(const job_desc_msg_t *desc, struct het_texts *texts)
{
	const size_t prefix = sizeof(OPTION_VARIABLE) - 1;

	memset(texts, 0, sizeof(*texts));
	if (desc->script && desc->script[0]) {
		texts->script = desc->script;
		texts->script_len = strnlen(desc->script, HET_MAX_SCAN);
	}
	for (uint32_t i = 0; desc->spank_job_env && i < desc->spank_job_env_size && i < MAX_VARIABLES; i++) {
		const char *variable = desc->spank_job_env[i];

		if (!variable || strncmp(variable, OPTION_VARIABLE, prefix))
			continue;
		texts->option = variable + prefix;
		texts->option_len = strnlen(texts->option, HET_MAX_OPTION + 1);
	}
	return texts->script || texts->option;
}

uint32_t het_array_size(const char *expression)
{
	uint64_t total = 0;

	while (expression && *expression && total < MAX_ARRAY) {
		char *end;
		unsigned long first, last, step = 1;

		while (*expression == '[' || *expression == ']' || *expression == ',')
			expression++;
		if (!isdigit((unsigned char) *expression))
			break;
		last = first = strtoul(expression, &end, 10);
		if (*end == '-' && isdigit((unsigned char) end[1]))
			last = strtoul(end + 1, &end, 10);
		if (*end == ':' && isdigit((unsigned char) end[1]))
			step = strtoul(end + 1, &end, 10);
		if (last < first || !step)
			break;
		total += last - first < MAX_ARRAY ? (last - first) / step + 1 : MAX_ARRAY;
		expression = end;
	}
	return total < MAX_ARRAY ? (uint32_t) total : MAX_ARRAY;
}

static uint32_t divide_up(uint64_t a, uint64_t b)
{
	return (uint32_t) ((a + b - 1) / b);
}

uint32_t het_array_at_once(const char *expression)
{
	const char *percent = expression ? strchr(expression, '%') : NULL;
	unsigned long n = percent && isdigit((unsigned char) percent[1]) ? strtoul(percent + 1, NULL, 10) : 0;

	return n < MAX_ARRAY ? (uint32_t) n : MAX_ARRAY;
}

/* Make the count at the end of a list a share of it; a count past sense stays as it is. */
static size_t share_count(char *list, size_t used, uint32_t nodes)
{
	size_t at = used;
	uint64_t count;
	struct het_text text;

	while (at && isdigit((unsigned char) list[at - 1]))
		at--;
	if (nodes <= 1 || at == used || used - at > 9 || !at || (list[at - 1] != ':' && list[at - 1] != '='))
		return used;
	count = strtoull(list + at, NULL, 10);
	if (!count)
		return used;
	text = het_text_in(list + at, used - at + 1);
	het_text_integer(&text, divide_up(count, nodes));
	return at + text.used;
}

/*
 * Append the GRES entries of a tres_per_* to a comma list, with counts shared among the nodes; entries of
 * other TRES (cpu, license) are left out.
 */
static void add_gres(char *list, const char *tres, uint32_t nodes)
{
	size_t used;

	if (!tres)
		return;
	used = strlen(list);
	while (*tres) {
		size_t n = strcspn(tres, ",;");
		int named = !strncasecmp(tres, "gres:", 5) || !strncasecmp(tres, "gres/", 5);
		int none = n == 4 && !strncasecmp(tres, "none", 4);

		if ((named || none) && used + n + 2 < HET_MAX_GRES_TEXT) {
			if (used)
				list[used++] = ',';
			memcpy(list + used, tres, n);
			used += n;
			list[used] = 0;
			used = share_count(list, used, nodes);
		}
		tres += n;
		tres += strspn(tres, ",;");
	}
}

static int32_t bounded(uint64_t value)
{
	return value > INT32_MAX ? INT32_MAX : (int32_t) value;
}

static const char *given(const char *text)
{
	return text && *text ? text : NULL;
}

static void read_cpus(const job_desc_msg_t *desc, struct het_pinned *pinned, struct het_asked *asked)
{
	uint64_t tasks = 1;

	if (desc->pn_min_cpus != NO_VAL16)
		asked->cpus = desc->pn_min_cpus;
	if (desc->num_tasks != NO_VAL && desc->num_tasks) {
		pinned->tasks = desc->num_tasks;
		pinned->pins |= HET_PIN_TASKS;
	}
	if (desc->ntasks_per_node != NO_VAL16 && desc->ntasks_per_node) {
		pinned->tasks_per_node = desc->ntasks_per_node;
		pinned->pins |= HET_PIN_TASKS;
	}
	if (desc->cpus_per_task != NO_VAL16 && desc->cpus_per_task) {
		pinned->cpus_per_task = desc->cpus_per_task;
		pinned->pins |= HET_PIN_CPUS;
	}
	if (given(desc->cpus_per_tres) || (desc->pn_min_cpus != NO_VAL16 && desc->pn_min_cpus))
		pinned->pins |= HET_PIN_CPUS;
	if (!pinned->cpus_per_task)
		return;
	if (pinned->tasks_per_node)
		tasks = pinned->tasks_per_node;
	else if (pinned->tasks && asked->nodes > 0)
		tasks = divide_up(pinned->tasks, (uint64_t) asked->nodes);
	if (asked->cpus < bounded(tasks * pinned->cpus_per_task))
		asked->cpus = bounded(tasks * pinned->cpus_per_task);
}

static void read_memory(const job_desc_msg_t *desc, struct het_pinned *pinned, struct het_asked *asked)
{
	if (given(desc->mem_per_tres))
		pinned->pins |= HET_PIN_MEMORY;
	if (desc->pn_min_memory == NO_VAL64)
		return;
	pinned->pins |= HET_PIN_MEMORY;
	if (desc->pn_min_memory & MEM_PER_CPU)
		pinned->mem_per_cpu_mb = desc->pn_min_memory & ~MEM_PER_CPU;
	else
		asked->mem_mb = bounded(desc->pn_min_memory);
}

/* slurmctld compares account names in lower case. */
static const char *lower_account(const char *account, char *out, size_t size)
{
	size_t n = 0;

	if (!given(account) || strlen(account) >= size)
		return given(account);
	for (; account[n]; n++)
		out[n] = (char) tolower((unsigned char) account[n]);
	out[n] = 0;
	return out;
}

/* The most nodes that the job may get; UINT32_MAX: Slurm spreads its tasks. */
static uint32_t most_nodes(const job_desc_msg_t *desc, const struct het_request *request)
{
	uint32_t most = 1;

	if (desc->max_nodes != NO_VAL && desc->max_nodes)
		return desc->max_nodes;
	if ((desc->min_nodes != NO_VAL && desc->min_nodes) || given(desc->req_nodes) ||
	    (desc->num_tasks != NO_VAL && desc->num_tasks))
		return UINT32_MAX;
	for (uint32_t i = 0; i < request->n_targets; i++)
		if (request->target[i].nodes > most)
			most = request->target[i].nodes;
	return most;
}

void het_read_asked(const job_desc_msg_t *desc, uint32_t submit_uid, struct het_workspace *workspace,
                    struct het_pinned *pinned, struct het_asked *asked)
{
	memset(pinned, 0, sizeof(*pinned));
	memset(asked, 0, sizeof(*asked));
	workspace->gres[0] = 0;
	add_gres(workspace->gres, desc->tres_per_node, 1);
	add_gres(workspace->gres, desc->tres_per_job, most_nodes(desc, &workspace->request));
	add_gres(workspace->gres, desc->tres_per_socket, 1); /* at least one on each node */
	add_gres(workspace->gres, desc->tres_per_task, 1);

	asked->uid = desc->user_id;
	asked->privileged = submit_uid == 0 || submit_uid == getuid();
	asked->account = lower_account(desc->account, pinned->account, sizeof(pinned->account));
	asked->qos = given(desc->qos);
	asked->partition = given(desc->partition);
	asked->constraint = given(desc->features);
	asked->gres = given(workspace->gres);
	asked->submit_host = given(desc->alloc_node);
	asked->has_reservation = given(desc->reservation) != NULL;
	asked->node = workspace->node;
	asked->n_nodes_named = het_hash_nodes(desc->req_nodes, workspace->node);
	pinned->n_excluded = het_hash_nodes(desc->exc_nodes, workspace->excluded);
	asked->n_tasks = het_array_size(desc->array_inx);
	if (desc->min_nodes != NO_VAL)
		asked->nodes = bounded(desc->min_nodes);
	if (asked->nodes < (int32_t) asked->n_nodes_named)
		asked->nodes = (int32_t) asked->n_nodes_named;
	if (desc->time_limit != NO_VAL)
		asked->limit_min = bounded(desc->time_limit);
	read_cpus(desc, pinned, asked);
	read_memory(desc, pinned, asked);

	pinned->pins |= (asked->partition ? HET_PIN_PARTITION : 0) | (asked->gres ? HET_PIN_GRES : 0) |
	                (asked->limit_min ? HET_PIN_TIME : 0) |
	                (desc->min_nodes != NO_VAL || given(desc->req_nodes) ? HET_PIN_NODES : 0) |
	                (desc->priority == 0 ? HET_PIN_HOLD : 0);
}

static int32_t widest_node(const struct het_view *view)
{
	int32_t widest = 1;

	for (uint32_t p = 0; p < view->n_pools; p++)
		if (view->pool.cpus_per_node[p] > widest)
			widest = view->pool.cpus_per_node[p];
	return widest;
}

/* -n without -N: Slurm fills nodes with tasks; take as many nodes as the widest ones in sight would need. */
static void spread_tasks(const struct het_view *view, const struct het_pinned *pinned, int nodes_fixed,
                         struct het_alt *alt)
{
	uint64_t per_task = pinned->cpus_per_task ? pinned->cpus_per_task : 1;
	uint64_t per_node = pinned->tasks_per_node;

	if (!per_node && nodes_fixed)
		per_node = divide_up(pinned->tasks, (uint64_t) alt->nodes);
	if (!per_node) {
		per_node = (uint64_t) widest_node(view) / per_task;
		if (!per_node)
			per_node = 1;
		if (per_node > pinned->tasks)
			per_node = pinned->tasks;
	}
	if (!nodes_fixed && pinned->tasks)
		alt->nodes = bounded(divide_up(pinned->tasks, per_node));
	if (alt->cpus < bounded(per_node * per_task) || pinned->cpus_per_task)
		alt->cpus = bounded(per_node * per_task);
}

void het_fit_alternatives(const struct het_view *view, const struct het_request *request,
                          const struct het_pinned *pinned, struct het_resolved *resolved)
{
	for (uint32_t a = 0; a < request->n_targets; a++) {
		struct het_alt *alt = &resolved->alt[a];
		int nodes_fixed = (pinned->pins & HET_PIN_NODES) || request->target[a].nodes;

		if (pinned->pins & HET_PIN_TASKS)
			spread_tasks(view, pinned, nodes_fixed, alt);
		if (pinned->mem_per_cpu_mb)
			alt->mem_mb = bounded(pinned->mem_per_cpu_mb * (uint64_t) alt->cpus);
	}
	if (pinned->pins & HET_PIN_TASKS)
		het_set_classes(request, resolved);
}
