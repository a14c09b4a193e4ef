/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a target over the files of its corpus, where there is no libFuzzer: fuzz_xml FOLDER... */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>

#define INPUT_MAX (4 * MiB)

static void run_file(const char *path)
{
	_cleanup_free_ uint8_t *room = malloc(INPUT_MAX), *exact = NULL;
	FILE *f = fopen(path, "rb");
	size_t n;

	MUST(f && room);
	n = fread(room, 1, INPUT_MAX, f);
	fclose(f);
	exact = malloc(n ? n : 1);
	MUST(exact);
	memcpy(exact, room, n);
	LLVMFuzzerTestOneInput(exact, n);
}

/* Answers how many files there were. */
static unsigned run_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned n = 0;
	char path[4096];

	MUST(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		fprintf(stderr, "%s\n", path);
		run_file(path);
		n++;
	}
	closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	unsigned n = 0;

	LLVMFuzzerTestOneInput(NULL, 0);
	for (int i = 1; i < argc; i++)
		n += run_folder(argv[i]);
	return n ? 0 : 1; /* a corpus without files tests nothing */
}
