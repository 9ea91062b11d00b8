/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every line of stdin as each text that a user may hand to the resolver, in a block of just its size. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolve.h"

int main(void)
{
	struct het_slot slot = {0};
	struct het_view view = {.slot = &slot};
	struct het_request request = {.n_targets = 2};
	struct het_resolved resolved;
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	strcpy(request.target[0].kind, "gpu");
	strcpy(request.target[1].kind, "cpu");
	while ((n = getline(&line, &room, stdin)) > 0) {
		char *text = strndup(line, (size_t) n - 1);
		struct het_asked asked = {
		        .account = text,
		        .qos = text,
		        .partition = text,
		        .constraint = text,
		        .gres = text,
		        .submit_host = text,
		};

		if (!text)
			return 1;
		het_resolve(&view, &request, &asked, 0, &resolved);
		if (resolved.author.n_terms > HET_MAX_TERMS || resolved.author.n_partitions > HET_MAX_PINS)
			return 1;
		free(text);
	}
	free(line);
	return 0;
}
