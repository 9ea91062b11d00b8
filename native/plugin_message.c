/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin_message.h"

#include "slurm_compat.h"

#define CHEAP_MICRO 1e5 /* a tenth of the currency */

static const char *const reason_text[] = {
#define HET_WHY(NAME, soft, text) text,
        HET_REASONS(HET_WHY)
#undef HET_WHY
};

static void add_first_reason(struct het_text *text, uint32_t reasons)
{
	for (int bit = 0; bit < HET_N_REASONS; bit++) {
		if (reasons & (1u << bit)) {
			het_text_add(text, reason_text[bit]);
			return;
		}
	}
}

static void add_estimates(const struct het_view *view, const struct het_record *record, struct het_text *text)
{
	const struct het_terms *terms = &record->choice->terms;
	double wait_s = terms->wait_s + terms->startup_s;

	if (wait_s < 30) {
		het_text_add(text, ", starts now");
	} else if (wait_s < HET_FOREVER) {
		het_text_add(text, ", starts in about ");
		het_text_duration(text, wait_s);
	}
	if (terms->run_s < HET_FOREVER) {
		het_text_add(text, ", runs about ");
		het_text_duration(text, terms->run_s);
		if (terms->run_source == HET_DEFAULT)
			het_text_add(text, " (a guess)");
	}
	if (terms->money_source == HET_DEFAULT && !(terms->money_micro > 0)) {
		het_text_add(text, ", no price is known");
		return;
	}
	het_text_add(text, ", costs about ");
	/* Two digits would make nothing of a short job. */
	het_text_number(text, terms->money_micro / 1e6,
	                terms->money_micro > 0 && terms->money_micro < CHEAP_MICRO ? 4 : 2, 0);
	het_text_add(text, " ");
	het_text_bytes(text, view->slot->currency,
	               strnlen(view->slot->currency, sizeof(view->slot->currency)));
	if (terms->money_source == HET_DEFAULT)
		het_text_add(text, " (a guess)");
}

void het_tell_placed(const struct het_view *view, const struct het_record *record, struct het_text *text)
{
	het_text_add(text, "hetslurm: ");
	het_text_add(text, record->landing->device);
	het_text_add(text, " in partition ");
	het_text_add(text, record->landing->partition);
	if (record->state == HET_STATE_PLACED)
		add_estimates(view, record, text);
	else
		het_text_add(text, ", by the order of your targets: hetslurm's view of the cluster is stale");
	if (record->choice->tier != HET_TIER_SOFT)
		return;
	if (record->choice->reasons & HET_WHY_DEADLINE) {
		het_text_add(text, "; no target can meet the deadline");
	} else {
		het_text_add(text, "; it waits: ");
		add_first_reason(text, record->choice->reasons);
	}
}

void het_tell_reasons(const struct het_target *target, uint32_t reasons, struct het_text *text)
{
	char label[HET_MAX_NAME * 3];
	const char *separator = ": ";

	/* Not what may pass with time; nor that pools of other kinds exist, when there are pools of this one.
	 */
	if (reasons & ~(uint32_t) HET_WHY_SOFT)
		reasons &= ~(uint32_t) HET_WHY_SOFT;
	if (reasons & ~(uint32_t) HET_WHY_KIND)
		reasons &= ~(uint32_t) HET_WHY_KIND;
	het_render_target(target, label, sizeof(label));
	het_text_add(text, "; ");
	het_text_add(text, label);
	for (int bit = 0; bit < HET_N_REASONS; bit++) {
		size_t whole = text->used;

		if (!(reasons & (1u << bit)))
			continue;
		het_text_add(text, separator);
		het_text_add(text, reason_text[bit]);
		if (text->full)
			het_text_cut(text, whole);
		separator = ", ";
	}
}

void het_tell(char **message, const char *text)
{
	size_t said = *message ? strlen(*message) : 0, n = strlen(text);

	if (!said) {
		het_set_text(message, text, n);
		return;
	}
	slurm_xrecalloc((void **) message, said + n + 2, 1, false, false, __FILE__, __LINE__, __func__);
	(*message)[said] = '\n';
	memcpy(*message + said + 1, text, n + 1);
}
