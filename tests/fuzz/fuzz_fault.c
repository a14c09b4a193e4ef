/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of errors, XML and JSON: what goes into logs and to people is one line that can be read.
 */
#include "tests/fuzz/fuzz.h"

#include "backends/faults.h"

static void printable(const char *s, size_t size)
{
	MUST(memchr(s, 0, size));
	for (; *s; s++)
		MUST(*s >= 0x20 && *s < 0x7f);
}

static void check(const struct fault *f, bool told)
{
	printable(f->code, sizeof(f->code));
	printable(f->message, sizeof(f->message));
	printable(f->region, sizeof(f->region));
	MUST(told == (f->code[0] != '\0'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span in = span_of(data, MIN(size, (size_t)16384));
	struct fault f;
	bool told;

	memset(&f, 0xaa, sizeof(f));
	told = fault_parse_xml(in, &f);
	check(&f, told);
	memset(&f, 0xaa, sizeof(f));
	told = fault_parse_json(in, &f);
	check(&f, told);
	return 0;
}
