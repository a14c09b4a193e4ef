/* SPDX-License-Identifier: Apache-2.0 */
/* Names of piece files: each piece has one, and every other name is none. */
#include "tests/fuzz/fuzz.h"

#include "cache/disk_i.h"

static void parse(const char *name)
{
	char again[DISK_NAME_MAX];
	struct piece_id id;
	const int r = disk_name_parse(name, &id);

	MUST(r == 0 || r == -EINVAL);
	if (r)
		return;
	disk_name(&id, again);
	MUST(strcmp(strchr(again, '/') + 1, name) == 0);
}

static void write(struct span in)
{
	struct piece_id id = { 0 }, back;
	char name[DISK_NAME_MAX];

	for (size_t i = 0; i < sizeof(id.object); i++)
		id.object[i] = take_byte(&in);
	id.index = (uint32_t)take_number(&in, 4);
	disk_name(&id, name);
	MUST(disk_name_parse(strchr(name, '/') + 1, &back) == 0);
	MUST(memcmp(id.object, back.object, sizeof(id.object)) == 0 && id.index == back.index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *name = text_of(span_of(data, size));

	parse(name);
	write(span_of(data, size));
	return 0;
}
