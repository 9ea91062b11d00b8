/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <string.h>

#include "constraint.h"
#include "hash.h"

#define MAX_DEPTH 6

/* An OR of ANDs. */
struct sum {
	uint32_t n_terms;
	uint32_t n[HET_MAX_TERMS];
	uint64_t feature[HET_MAX_TERMS][HET_MAX_TERMS];
};

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

static int is_feature(char c)
{
	return isalnum((unsigned char) c) || (c && strchr("_-.:=+/@", c));
}

static int add_or(struct sum *sum, const struct sum *other)
{
	for (uint32_t i = 0; i < other->n_terms; i++) {
		if (sum->n_terms == HET_MAX_TERMS)
			return 0;
		sum->n[sum->n_terms] = other->n[i];
		memcpy(sum->feature[sum->n_terms++], other->feature[i], sizeof(other->feature[i]));
	}
	return 1;
}

static int multiply(struct sum *sum, const struct sum *other)
{
	struct sum product = {0};

	for (uint32_t i = 0; i < sum->n_terms; i++) {
		for (uint32_t k = 0; k < other->n_terms; k++) {
			uint32_t at = product.n_terms;

			if (at == HET_MAX_TERMS || sum->n[i] + other->n[k] > HET_MAX_TERMS)
				return 0;
			memcpy(product.feature[at], sum->feature[i], sum->n[i] * sizeof(uint64_t));
			memcpy(product.feature[at] + sum->n[i], other->feature[k],
			       other->n[k] * sizeof(uint64_t));
			product.n[at] = sum->n[i] + other->n[k];
			product.n_terms++;
		}
	}
	*sum = product;
	return 1;
}

static const char *parse_or(const char *p, int depth, struct sum *sum);

/* A feature or a group, with a count or without. Each parser returns where it stopped, or NULL. */
static const char *parse_factor(const char *p, int depth, struct sum *sum)
{
	const char *start;

	p = skip_blanks(p);
	if (*p == '(' || *p == '[') {
		char close = *p == '(' ? ')' : ']';

		p = depth < MAX_DEPTH ? parse_or(p + 1, depth + 1, sum) : NULL;
		if (!p || *p != close)
			return NULL;
		p++;
	} else {
		for (start = p; is_feature(*p);)
			p++;
		if (p == start)
			return NULL;
		sum->n_terms = 1;
		sum->n[0] = 1;
		sum->feature[0][0] = het_hash(start, (size_t) (p - start));
	}
	p = skip_blanks(p);
	if (*p == '*') {
		p = skip_blanks(p + 1);
		for (start = p; isdigit((unsigned char) *p);)
			p++;
		if (p == start)
			return NULL;
	}
	return skip_blanks(p);
}

static const char *parse_and(const char *p, int depth, struct sum *sum)
{
	struct sum factor;

	p = parse_factor(p, depth, sum);
	while (p && (*p == '&' || *p == ',')) {
		factor.n_terms = 0;
		p = parse_factor(p + 1, depth, &factor);
		if (p && !multiply(sum, &factor))
			return NULL;
	}
	return p;
}

static const char *parse_or(const char *p, int depth, struct sum *sum)
{
	struct sum term;

	p = parse_and(p, depth, sum);
	while (p && *p == '|') {
		term.n_terms = 0;
		p = parse_and(p + 1, depth, &term);
		if (p && !add_or(sum, &term))
			return NULL;
	}
	return p;
}

void het_constraint(const char *text, struct het_author *author)
{
	struct sum sum;
	const char *end;

	author->n_terms = 0;
	if (!text || !*skip_blanks(text))
		return;
	memset(&sum, 0, sizeof(sum));
	end = parse_or(text, 0, &sum);
	if (!end || *end)
		return;
	author->n_terms = sum.n_terms;
	memcpy(author->n_features, sum.n, sizeof(sum.n));
	memcpy(author->feature, sum.feature, sizeof(sum.feature));
}
