/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names in the snapshot are 64-bit FNV-1a hashes; the empty name is 0. */
#ifndef HETSLURM_HASH_H
#define HETSLURM_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t het_hash_more(uint64_t h, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char) s[i]) * UINT64_C(0x100000001b3);
	return h;
}

static inline uint64_t het_hash(const char *s, size_t n)
{
	return n ? het_hash_more(UINT64_C(0xcbf29ce484222325), s, n) : 0;
}

#endif
