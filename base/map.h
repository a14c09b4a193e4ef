/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An ordered map of bytes to bytes in memory (keys in memcmp order): the overlays of
 * the namespace. No lock of its own. The value may be absent ("deleted here"), which is
 * an entry like another. Deterministic: its shape does not depend on randomness that is
 * drawn elsewhere.
 */
#include "base/span.h"

struct map;
struct map *map_new(void);
struct map *map_free(struct map *m);
DEFINE_CLEANUP(struct map *, map_free)
/* Inserts or replaces; copies both. `gone` marks a deletion (value ignored). 0, -ENOMEM. */
must_check int map_put(struct map *m, struct span key, struct span value, bool gone);
/* false: no entry. The spans are borrowed until the entry changes. */
bool map_get(const struct map *m, struct span key, struct span *ret_value, bool *ret_gone);
/* Removes the entry itself. */
void map_erase(struct map *m, struct span key);
void map_clear(struct map *m);
size_t map_count(const struct map *m);
uint64_t map_bytes(const struct map *m); /* keys and values */

/*
 * Walking: the first entry with key >= from (or > from); false at the end. Borrowed until the map
 * changes.
 */
struct map_entry {
	struct span key, value;
	bool gone;
};
bool map_seek(const struct map *m, struct span from, bool after, struct map_entry *ret);
