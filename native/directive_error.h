/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said of a wrong word: where it stands, the word, what was expected, and the nearest known key. */
#ifndef HETSLURM_DIRECTIVE_ERROR_H
#define HETSLURM_DIRECTIVE_ERROR_H

#include <stdio.h>
#include <string.h>

#include "directive_values.h"
#include "directives.h"

#define MAX_KEY 11 /* "preemptible" */
#define MAX_TYPO 16

/* Where a directive stands: the start of its line (or of --het), and the line's number (0: --het). */
struct het_place {
	const char *origin;
	uint32_t line;
};

/* As much of word as fits, whole characters, what cannot be printed as `?`. */
static void show_word(struct het_span word, char *out, size_t size)
{
	size_t used = 0, n;

	for (size_t i = 0; i < word.len; i += n ? n : 1) {
		n = utf8_length((struct het_span){word.at + i, word.len - i});
		if (used + (n ? n : 1) >= size)
			break;
		if (n && is_uri((struct het_span){word.at + i, n}, '\0')) {
			memcpy(out + used, word.at + i, n);
			used += n;
		} else {
			out[used++] = n && (word.at[i] == ' ' || word.at[i] == ';') ? word.at[i] : '?';
		}
	}
	out[used] = '\0';
}

/* Steps from one word to the other: a letter put in, left out, changed, or two neighbours swapped. */
static unsigned count_typos(struct het_span word, const char *key)
{
	uint8_t d[MAX_TYPO + 1][MAX_KEY + 1];
	size_t n = strlen(key);

	if (word.len > MAX_TYPO || n > MAX_KEY)
		return MAX_TYPO;
	for (size_t i = 0; i <= word.len; i++) {
		for (size_t j = 0; j <= n; j++) {
			unsigned best;

			if (!i || !j) {
				d[i][j] = (uint8_t) (i + j);
				continue;
			}
			best = d[i - 1][j - 1] + (word.at[i - 1] != key[j - 1]);
			if (d[i - 1][j] + 1u < best)
				best = d[i - 1][j] + 1u;
			if (d[i][j - 1] + 1u < best)
				best = d[i][j - 1] + 1u;
			if (i > 1 && j > 1 && word.at[i - 1] == key[j - 2] && word.at[i - 2] == key[j - 1] &&
			    d[i - 2][j - 2] + 1u < best)
				best = d[i - 2][j - 2] + 1u;
			d[i][j] = (uint8_t) best;
		}
	}
	return d[word.len][n];
}

/*
 * Fill error and return false. what follows the word in the sentence ("is not …");
 * expected is also the end of the sentence, unless instead replaces it there.
 */
__attribute__((cold)) static bool refuse(struct het_error *error, struct het_place place,
                                         struct het_span word, const char *what, const char *expected,
                                         const char *instead)
{
	char where[24] = "--het";

	memset(error, 0, sizeof(*error));
	error->line = place.line;
	error->column = (uint32_t) (word.at - place.origin) + 1;
	show_word(word, error->word, sizeof(error->word));
	snprintf(error->expected, sizeof(error->expected), "%s", expected);
	if (place.line)
		snprintf(where, sizeof(where), "line %u", place.line);
	if (instead)
		snprintf(error->message, sizeof(error->message), "%s: '%s' %s; %s", where, error->word, what,
		         instead);
	else
		snprintf(error->message, sizeof(error->message), "%s: '%s' %s; expected %s", where,
		         error->word, what, expected);
	return false;
}

#endif
