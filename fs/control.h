/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The control socket of a mount: HTTP/1.1 on a Unix socket for its owner (status and commands), and
 * read-only on a TCP address for browsers and Prometheus.
 *
 *   GET  /status   GET /metrics   GET /            both
 *   GET  /where?path=P                             the socket only, like all that follow
 *   GET  /changes?from=SLOT|last=N|since=S&max=N&all=0|1
 *                                                  what was done; "position": from where to go on
 *   POST /sync?all=0|1&timeout=60s                 answers when it is done
 *   POST /drill?store=S&mode=down|slow|errors|corrupt|none&for=60s
 *   GET  /names?path=P                             names that are not their keys, of a bucket
 *   POST /refresh?path=P&deep=0|1                  what is remembered of a bucket is asked again
 *   POST /fsck                                     begins; as what follows answers at once
 *   POST /scrub?store=S&share=5%25&rate=20M
 *   POST /upkeep/stop                              ends what goes on
 *   GET  /upkeep                                   how it stands, or the last one ended
 *   GET  /keys                                     what opens the volume
 *   POST /key/add?kind=file|passphrase|command|recovery&where=W&kdf_memory=N&kdf_passes=N
 *   POST /key/remove?number=N&force=0|1
 *   GET  /log                                      the last messages, as text
 *   POST /loglevel?level=debug&only=http,journal
 *   POST /import?mode=adopt|copy|seal&path=P&url=U   begins one, or finds it going on; answers
 *   GET  /import?id=N                              how far it is
 *   POST /import/stop?id=N
 *   POST /checkpoint?timeout=600s                  writes one now; what it amounts to
 *
 * Errors are JSON: {"error": "a sentence"}.
 */
#include "base/buf.h"
#include "fs/volume.h"

struct control;
/* Starts answering. 0; negative errno with a sentence in err (the address is taken, ...). */
must_check int control_new(struct volume *v, struct control **ret, char *err, size_t err_size);
/* Ends what is under way, removes the socket. */
struct control *control_free(struct control *c);
DEFINE_CLEANUP(struct control *, control_free)
/* Where the sockets of all mounts of this person are: /run/mangrove, or below $XDG_RUNTIME_DIR.
 * Appends. */
must_check int control_folder(struct buf *ret);
