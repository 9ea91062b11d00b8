/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin_rewrite.h"

#include <string.h>

#include "hash.h"

#define MAX_MAPPED 8  /* partitions in HET_MAP */
#define MAX_LOOKED 64 /* pools looked at for it, per target */

/* Its name, else KIND[:TYPE][:COUNT], written to label. */
static const char *label_target(const struct het_target *target, char label[static HET_MAX_NAME * 3])
{
	if (target->name[0])
		return target->name;
	het_render_target(target, label, HET_MAX_NAME * 3);
	return label;
}

void het_name_landing(const struct het_view *view, const struct het_request *request,
                      const struct het_alt *alts, const struct het_choice *choice,
                      struct het_landing *landing)
{
	uint32_t p = (uint32_t) choice->pool, a = (uint32_t) choice->alt;
	struct het_text device;

	landing->target = &request->target[a];
	landing->alt = &alts[a];
	landing->pool = view->str + view->pool.name[p];
	landing->partition = view->str + view->part.name[view->pool.part[p]];
	landing->kind = view->str + view->pool.kind_name[p];
	landing->type = view->str + view->pool.type_name[p];
	landing->label = label_target(landing->target, landing->label_bytes);
	device = het_text_in(landing->device, sizeof(landing->device));
	het_text_add(&device, landing->kind);
	if (landing->alt->devices > 0) {
		het_text_add(&device, landing->type[0] ? ":" : "");
		het_text_add(&device, landing->type);
		het_text_add(&device, ":");
		het_text_integer(&device, (uint64_t) landing->alt->devices);
	}
	landing->run_s = choice->terms.run_s;
	landing->limit_min = (uint32_t) choice->terms.limit_min;
}

/* What goes into the environment. */
struct variable {
	const char *name; /* with its = */
	const char *value;
};

static char *new_variable(const struct variable *variable)
{
	size_t name_len = strlen(variable->name), value_len = strlen(variable->value);
	char *text = het_new_text(name_len + value_len);

	memcpy(text, variable->name, name_len);
	memcpy(text + name_len, variable->value, value_len + 1);
	return text;
}

static int starts_with(const char *text, const char *prefix)
{
	while (*prefix && *text == *prefix) {
		text++;
		prefix++;
	}
	return !*prefix;
}

/* Put them into a batch job's environment, in place of those of the same name. salloc and srun keep theirs.
 */
static void put_variables(job_desc_msg_t *desc, const struct variable *variables, uint32_t n)
{
	uint32_t known = desc->env_size, missing = (1u << n) - 1;

	if (!desc->environment || !known)
		return;
	for (uint32_t i = 0; i < known; i++) {
		const char *there = desc->environment[i];

		if (!there || (there[0] != 'H' && there[0] != 'S'))
			continue;
		for (uint32_t v = 0; v < n; v++) {
			if (!starts_with(there, variables[v].name))
				continue;
			slurm_xfree((void **) &desc->environment[i]);
			desc->environment[i] = new_variable(&variables[v]);
			missing &= ~(1u << v);
			break;
		}
	}
	slurm_xrecalloc((void **) &desc->environment, (size_t) known + n + 1, sizeof(char *), true, false,
	                __FILE__, __LINE__, __func__);
	for (uint32_t v = 0; v < n; v++)
		if (missing & (1u << v))
			desc->environment[desc->env_size++] = new_variable(&variables[v]);
}

void het_mark_environment(job_desc_msg_t *desc)
{
	const struct variable mark = {"HET_MAP=", ""};

	put_variables(desc, &mark, 1);
}

static void put_environment(job_desc_msg_t *desc, const struct het_landing *landing, uint32_t cpus_per_task,
                            const char *map)
{
	char cpus[24];
	struct het_text text = het_text_in(cpus, sizeof(cpus));
	const struct variable variables[] = {
	        {"HET_KIND=", landing->kind},
	        {"HET_TYPE=", landing->type},
	        {"HET_TARGET=", landing->label},
	        {"HET_POOL=", landing->pool},
	        {"HET_MAP=", map},
	        {"SLURM_CPUS_PER_TASK=", cpus}, /* as sbatch does for -c */
	};

	het_text_integer(&text, cpus_per_task);
	put_variables(desc, variables, cpus_per_task ? 6 : 5);
}

static void put_gres(job_desc_msg_t *desc, const struct het_landing *landing)
{
	char bytes[HET_MAX_GRES_TEXT];
	struct het_text gres = het_text_in(bytes, sizeof(bytes));

	if (landing->alt->devices <= 0)
		return;
	if (desc->tres_per_node && desc->tres_per_node[0]) { /* no GRES, or it would be pinned */
		het_text_add(&gres, desc->tres_per_node);
		het_text_add(&gres, ",");
	}
	het_text_add(&gres, HET_GRES_PREFIX);
	het_text_add(&gres, landing->device);
	if (!gres.full)
		het_set_text(&desc->tres_per_node, bytes, gres.used);
}

/* -N, -n and -c, where open. Returns the cpus per task that it set; 0: none. */
static uint32_t put_shape(job_desc_msg_t *desc, const struct het_pinned *pinned,
                          const struct het_landing *landing)
{
	const struct het_target *target = landing->target;
	uint64_t nodes = (uint64_t) landing->alt->nodes, cpus = target->cpus, tasks, per_task;
	int tasks_open = !(pinned->pins & HET_PIN_TASKS);

	if (!(pinned->pins & HET_PIN_NODES) && (target->nodes || tasks_open))
		desc->min_nodes = desc->max_nodes = (uint32_t) nodes;
	if ((pinned->pins & HET_PIN_CPUS) || !cpus)
		return 0;
	if (tasks_open) {
		tasks = nodes;
		desc->num_tasks = (uint32_t) tasks;
		desc->bitflags |= JOB_NTASKS_SET;
		if (nodes > 1)
			desc->ntasks_per_node = 1;
	} else if (pinned->tasks) {
		tasks = pinned->tasks;
	} else {
		tasks = nodes * pinned->tasks_per_node;
	}
	per_task = cpus * nodes / tasks;
	if (!per_task)
		per_task = 1;
	if (per_task >= NO_VAL16)
		return 0;
	desc->cpus_per_task = (uint16_t) per_task;
	desc->bitflags |= JOB_CPUS_SET;
	if (desc->overcommit == NO_VAL8 && tasks * per_task < NO_VAL)
		desc->min_cpus = (uint32_t) (tasks * per_task);
	return (uint32_t) per_task;
}

void het_rewrite(job_desc_msg_t *desc, const struct het_pinned *pinned, const struct het_landing *landing,
                 const char *map)
{
	uint32_t cpus_per_task = put_shape(desc, pinned, landing);

	if (!desc->partition || strcmp(desc->partition, landing->partition))
		het_set_text(&desc->partition, landing->partition, strlen(landing->partition));
	if (!(pinned->pins & HET_PIN_GRES))
		put_gres(desc, landing);
	if (!(pinned->pins & HET_PIN_MEMORY) && landing->target->mem_mb)
		desc->pn_min_memory = landing->target->mem_mb;
	if (!(pinned->pins & HET_PIN_TIME) && landing->limit_min)
		desc->time_limit = landing->limit_min;
	put_environment(desc, landing, cpus_per_task, map);
}

/* One entry, unless it does not fit or a name would break the list. */
static void map_pool(const struct het_view *view, const char *label, uint32_t pool, struct het_text *map)
{
	size_t whole = map->used;

	if (whole)
		het_text_bytes(map, ";", 1);
	if (!het_text_field(map, view->str + view->part.name[view->pool.part[pool]], '|') ||
	    !het_text_field(map, view->str + view->pool.kind_name[pool], '|') ||
	    !het_text_field(map, view->str + view->pool.type_name[pool], '|') ||
	    !het_text_field(map, label, '|') || !het_text_field(map, view->str + view->pool.name[pool], 0))
		het_text_cut(map, whole);
}

struct mapped {
	uint32_t part[MAX_MAPPED], n;
};

/* Whether this partition is new to the list, which then has it. */
static int first_of_partition(struct mapped *mapped, uint32_t part)
{
	for (uint32_t i = 0; i < mapped->n; i++)
		if (mapped->part[i] == part)
			return 0;
	mapped->part[mapped->n++] = part;
	return 1;
}

static int fits(const struct het_view *view, const struct het_alt *alt, const uint32_t *row, uint32_t pool)
{
	return !(row[pool] & ~(uint32_t) HET_WHY_SOFT) && view->pool.devices_per_node[pool] >= alt->devices &&
	       view->pool.cpus_per_node[pool] >= alt->cpus;
}

void het_render_map(const struct het_view *view, const struct het_request *request,
                    const struct het_resolved *resolved, const uint32_t *row, const struct het_choice *choice,
                    struct het_text *map)
{
	struct mapped mapped = {.n = 0};
	char bytes[HET_MAX_NAME * 3];

	first_of_partition(&mapped, view->pool.part[choice->pool]);
	map_pool(view, label_target(&request->target[choice->alt], bytes), (uint32_t) choice->pool, map);
	for (uint32_t a = 0; a < resolved->job.n_alts && mapped.n < MAX_MAPPED; a++) {
		const struct het_alt *alt = &resolved->alt[a];
		const char *label = label_target(&request->target[a], bytes);
		uint32_t looked = 0;

		for (uint32_t c = 0; c < view->n_classes; c++) {
			uint32_t pool = view->cls.first[c], end = pool + view->cls.count[c];

			if (view->cls.kind[c] != alt->kind || (alt->type && view->cls.type[c] != alt->type))
				continue;
			for (; pool < end && looked < MAX_LOOKED && mapped.n < MAX_MAPPED; pool++, looked++)
				if (fits(view, alt, row, pool) &&
				    first_of_partition(&mapped, view->pool.part[pool]))
					map_pool(view, label, pool, map);
		}
	}
}
