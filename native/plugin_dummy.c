/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin_dummy.h"

#include <string.h>

#include "plugin_message.h"

struct word {
	const char *text;
	size_t n;
};

/* The next word of a list, without the separators; returns what follows, or NULL when there is no more. */
static const char *next_word(const char *list, const char *separators, struct word *word)
{
	list += strspn(list, separators);
	if (!*list)
		return NULL;
	word->text = list;
	word->n = strcspn(list, separators);
	return list + word->n;
}

static int same(struct word a, struct word b)
{
	return a.n == b.n && !memcmp(a.text, b.text, a.n);
}

static int is_number(struct word word)
{
	return word.n && strspn(word.text, "0123456789") >= word.n;
}

/* The parts of `gres:gpu:a100:1`, `gres/gpu:1` or `gpu:a100`: name, and type (empty where none is said). */
static void split_gres(struct word item, struct word *name, struct word *type)
{
	if (item.n > 5 && (!memcmp(item.text, "gres:", 5) || !memcmp(item.text, "gres/", 5))) {
		item.text += 5;
		item.n -= 5;
	}
	name->text = item.text;
	name->n = 0;
	while (name->n < item.n && item.text[name->n] != ':' && item.text[name->n] != '=')
		name->n++;
	type->text = item.text + name->n;
	type->n = 0;
	if (name->n < item.n && *type->text == ':') {
		type->text++;
		while (type->text + type->n < item.text + item.n && type->text[type->n] != ':' &&
		       type->text[type->n] != '=')
			type->n++;
		if (is_number(*type))
			type->n = 0;
	}
}

/*
 * Whether an entry `PARTITION:NAME[:TYPE]` (no PARTITION: where none is asked for) is of this partition and
 * GRES. A request without a type may get the dummy, too.
 */
static int fits(struct word entry, struct word partition, struct word name, struct word type)
{
	struct word where = {entry.text, 0}, own_name, own_type, rest;

	while (where.n < entry.n && where.text[where.n] != ':')
		where.n++;
	if (where.n == entry.n || !same(where, partition))
		return 0;
	rest = (struct word){where.text + where.n + 1, entry.n - where.n - 1};
	split_gres(rest, &own_name, &own_type);
	return same(own_name, name) && (!own_type.n || !type.n || same(own_type, type));
}

static int names_dummy(const char *dummies, struct word partition, const char *tres)
{
	struct word item, entry, name, type;

	while (tres && (tres = next_word(tres, ", \t", &item))) {
		split_gres(item, &name, &type);
		for (const char *rest = dummies; (rest = next_word(rest, ", \t", &entry));)
			if (fits(entry, partition, name, type))
				return 1;
	}
	return 0;
}

static int asks_for_dummy(const char *dummies, struct word partition, const job_desc_msg_t *desc)
{
	return names_dummy(dummies, partition, desc->tres_per_node) ||
	       names_dummy(dummies, partition, desc->tres_per_job) ||
	       names_dummy(dummies, partition, desc->tres_per_task) ||
	       names_dummy(dummies, partition, desc->tres_per_socket);
}

int het_check_dummies(const struct het_settings *settings, const job_desc_msg_t *desc, char **message)
{
	struct word partition = {"", 0};
	const char *rest = desc->partition;
	int found = 0;

	if (!settings->dummy[0])
		return SLURM_SUCCESS;
	if (!rest || !rest[strspn(rest, ", \t")])
		found = asks_for_dummy(settings->dummy, partition, desc);
	else
		while (!found && (rest = next_word(rest, ", \t", &partition)))
			found = asks_for_dummy(settings->dummy, partition, desc);
	if (!found)
		return SLURM_SUCCESS;
	if (message)
		het_tell(message, "hetslurm: this partition's nodes have no such device, only dummies that "
		                  "let jobs move; "
		                  "name the partition that has it, and the device's type");
	return ESLURM_INVALID_GRES;
}
