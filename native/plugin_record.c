/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin_record.h"

#include "plugin_text.h"

static void add_string(struct het_text *text, const char *key, const char *value)
{
	het_text_add(text, key);
	het_text_json(text, value);
	het_text_bytes(text, "\"", 1);
}

static void add_number(struct het_text *text, const char *key, double value, int decimals)
{
	if (!(value >= 0 && value < 1e12))
		return;
	het_text_add(text, key);
	het_text_number(text, value, decimals, 1);
}

static void add_pins(struct het_text *text, uint32_t pins)
{
	het_text_add(text, ",\"pins\":\"");
	for (size_t i = 0; i < sizeof(HET_PIN_LETTERS) - 1; i++)
		if (pins & (1u << i))
			het_text_bytes(text, &HET_PIN_LETTERS[i], 1);
	het_text_bytes(text, "\"", 1);
}

static void add_landing(struct het_text *text, const struct het_record *record)
{
	const struct het_landing *landing = record->landing;
	const struct het_terms *terms = &record->choice->terms;

	add_string(text, ",\"target\":\"", landing->label);
	add_string(text, ",\"kind\":\"", landing->kind);
	add_string(text, ",\"type\":\"", landing->type);
	het_text_add(text, ",\"alt\":");
	het_text_integer(text, (uint64_t) record->choice->alt);
	add_string(text, ",\"pool\":\"", landing->pool);
	add_string(text, ",\"partition\":\"", landing->partition);
	if (record->state != HET_STATE_PLACED)
		return;
	add_number(text, ",\"score\":", terms->score, 4);
	add_number(text, ",\"wait_s\":", terms->wait_s, 1);
	add_number(text, ",\"run_s\":", terms->run_s, 1);
	add_number(text, ",\"money\":", terms->money_micro / 1e6, 6);
	if (record->order_points) {
		het_text_add(text, ",\"sf\":");
		het_text_integer(text, *record->order_points);
	}
}

size_t het_render_record(const struct het_record *record, char *out, size_t size)
{
	static const char *const heads[] = {"{\"hetslurm\":1,\"state\":\"placed\",\"gen\":",
	                                    "{\"hetslurm\":1,\"state\":\"ordered\",\"gen\":",
	                                    "{\"hetslurm\":1,\"state\":\"held\",\"gen\":"};
	struct het_text text = het_text_in(out, size);

	het_text_add(&text, heads[record->state]);
	het_text_integer(&text, record->generation);
	if (record->landing)
		add_landing(&text, record);
	add_pins(&text, record->pins);
	if (record->cloud)
		add_string(&text, ",\"cloud\":\"", record->cloud);
	if (record->comment && record->comment[0])
		add_string(&text, ",\"comment\":\"", record->comment);
	add_string(&text, ",\"het\":\"", record->het);
	het_text_bytes(&text, "}", 1);
	if (text.full)
		het_text_cut(&text, 0);
	return text.used;
}
