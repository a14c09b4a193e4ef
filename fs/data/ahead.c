/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/data/ahead.h"

#define WINDOW_FIRST (2 * MiB)
/* The kernel's own read-ahead sends requests out of order by about this much. */
#define SLACK (1 * MiB)

static struct ahead_stream *find(struct ahead *a, uint64_t off)
{
	for (size_t i = 0; i < AHEAD_STREAMS; i++) {
		struct ahead_stream *s = &a->streams[i];

		if (s->used && off + SLACK >= s->next && off <= s->next + SLACK)
			return s;
	}
	return NULL;
}

static struct ahead_stream *oldest(struct ahead *a)
{
	struct ahead_stream *s = &a->streams[0];

	for (size_t i = 1; i < AHEAD_STREAMS; i++)
		if (a->streams[i].used < s->used)
			s = &a->streams[i];
	return s;
}

bool ahead_note(struct ahead *a, uint64_t off, uint64_t len, uint64_t size, uint64_t max_window,
		uint64_t *ret_from, uint64_t *ret_to)
{
	const uint64_t end = off + len;
	struct ahead_stream *s = find(a, off);

	if (!s) {
		s = oldest(a);
		/* Who begins at the beginning most likely goes on. */
		*s = (struct ahead_stream){ end, end, off == 0 ? WINDOW_FIRST : 0, ++a->clock };
		if (off != 0)
			return false;
	} else {
		s->used = ++a->clock;
		if (end > s->next)
			s->next = end;
		if (s->done < s->next)
			s->done = s->next;
		/*
		 * Far enough ahead: the next request goes out when half of the window is used up.
		 */
		if (s->window && s->done - s->next > s->window / 2)
			return false;
		s->window = s->window ? MIN(s->window * 2, max_window) : WINDOW_FIRST;
	}
	*ret_from = s->done;
	*ret_to = MIN(s->next + MIN(s->window, max_window), size);
	if (*ret_to <= *ret_from)
		return false;
	s->done = *ret_to;
	return true;
}
