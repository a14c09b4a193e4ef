/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/seen.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/text.h"

/* Lines of "store id, slot, hash", in hex; one per store. */
#define LINE_MAX_SIZE 160

static bool line_parse(const char *line, uint8_t id[16], uint64_t *slot, uint8_t hash[32])
{
	char id_text[33], hash_text[65];

	return sscanf(line, "%32s %16" SCNx64 " %64s", id_text, slot, hash_text) == 3 &&
	       !hex_decode(id_text, strlen(id_text), id, 16) &&
	       !hex_decode(hash_text, strlen(hash_text), hash, 32);
}

static void line_write(FILE *to, const uint8_t id[16], uint64_t slot, const uint8_t hash[32])
{
	char id_text[33], hash_text[65];

	hex_encode(span_of(id, 16), id_text);
	hex_encode(span_of(hash, 32), hash_text);
	fprintf(to, "%s %016" PRIx64 " %s\n", id_text, slot, hash_text);
}

int seen_check(const char *file, const uint8_t store_id[16], uint64_t slot, const uint8_t hash[32])
{
	FILE *f = fopen(file, "re");
	char line[LINE_MAX_SIZE];
	int verdict = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		uint8_t id[16], known[32];
		uint64_t at;

		if (!line_parse(line, id, &at, known) || memcmp(id, store_id, 16))
			continue;
		if (slot < at || (slot == at && memcmp(hash, known, 32)))
			verdict = SEEN_ROLLBACK;
	}
	fclose(f);
	return verdict;
}

/* Everything of the old file but this store's line. */
static void copy_others(FILE *from, FILE *to, const uint8_t store_id[16])
{
	char line[LINE_MAX_SIZE];

	while (fgets(line, sizeof(line), from)) {
		uint8_t id[16], hash[32];
		uint64_t at;

		if (line_parse(line, id, &at, hash) && memcmp(id, store_id, 16))
			line_write(to, id, at, hash);
	}
}

void seen_note(const char *file, const uint8_t store_id[16], uint64_t slot, const uint8_t hash[32])
{
	char temp[4096];
	FILE *from, *to;
	bool bad;

	snprintf(temp, sizeof(temp), "%s.new", file);
	to = fopen(temp, "we");
	if (!to) {
		log_warn("super", "cannot remember the superblock", "file=%s error=%s", file,
			 strerror(errno));
		return;
	}
	from = fopen(file, "re");
	if (from) {
		copy_others(from, to, store_id);
		fclose(from);
	}
	line_write(to, store_id, slot, hash);
	bad = fflush(to) || ferror(to);
	bad |= fclose(to) != 0;
	if (bad || rename(temp, file)) {
		log_warn("super", "cannot remember the superblock", "file=%s error=%s", file,
			 strerror(errno));
		remove(temp);
	}
}
