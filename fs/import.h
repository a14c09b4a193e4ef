/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Buckets that were there before become part of the volume, while it is mounted.
 *
 * (I1) Adopting reads no object: a LIST gives everything that an operation needs, and the file's
 *      contents are the object itself, in the version that was listed.
 * (I2) Nothing is overwritten. A name that is there already, with another object or something else,
 *      stays, is logged and counted.
 * (I3) What is counted as done is committed. Starting again after any end goes on: what is there
 *      is passed over.
 * (I4) Sealing replaces bytes by the same bytes: checked against the object's MD5 where its store
 *      tells one, else read under a condition on the version. What is written meanwhile stays.
 * (I5) The object is never touched.
 */
#include "fs/volume.h"

enum import_mode {
	IMPORT_ADOPT, /* names with foreign contents */
	IMPORT_COPY,  /* and the contents sealed into the volume after that */
	IMPORT_SEAL,  /* what was adopted below the path is sealed */
};

struct imports; /* all of a mount */
must_check int imports_new(struct volume *v, struct imports **ret);
/* Stops those that go on. */
struct imports *imports_free(struct imports *s);
DEFINE_CLEANUP(struct imports *, imports_free)

/*
 * Begins one; or, if the same goes on already, answers that one's number. url: NULL with
 * IMPORT_SEAL. path: from the volume's root; a directory, or with IMPORT_SEAL a file. 0; -EROFS,
 * -ENOENT, -ENOTDIR, -EINVAL, -EBUSY, -EACCES, -ENOMEM with a sentence in err.
 */
must_check int imports_start(struct imports *s, enum import_mode mode, const char *url,
			     const char *path, unsigned *ret_id, char *err, size_t err_size);
/* How far it is, as JSON; appends. -ENOENT. */
must_check int imports_json(struct imports *s, unsigned id, struct buf *ret);
/* Asks it to end. -ENOENT. */
must_check int imports_stop(struct imports *s, unsigned id);
