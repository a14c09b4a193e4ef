/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Azure Blob dialect, inside: its files share these.
 */

#include "web.h"

enum web_azure_verb {
	AZURE_NONE,
	AZURE_TOKEN,
	AZURE_CONTAINERS,
	AZURE_CONTAINER_CREATE,
	AZURE_CONTAINER_LOOK,
	AZURE_CONTAINER_DELETE,
	AZURE_LIST,
	AZURE_PUT,
	AZURE_METADATA,
	AZURE_GET,
	AZURE_HEAD,
	AZURE_DELETE,
	AZURE_BLOCK,
	AZURE_BLOCK_LIST,
	AZURE_BLOCKS,
	AZURE_BATCH,
};

/* Answers with an error; extra is further XML inside <Error>, or "". */
void web_azure_fail(struct web_req *, int status, const char *code, const char *message,
		    const char *extra);
/* The answer to a condition of the store. */
void web_azure_fail_cond(struct web_req *, int cond);

/* web_azure_auth.c: verifies the signature, SAS or token; fails the request otherwise. */
void web_azure_authenticate(struct web_req *);
/*
 * May the service read this as the source of a block? The query of the source's address, or NULL.
 * The request has failed otherwise.
 */
bool web_azure_source_is_open(struct web_req *, const char *container, const char *blob,
			      char *query);
/* Which permission of a SAS the request needs: one of "rcwdl". */
char web_azure_permission(const struct web_req *);

/* web_azure_blob.c */
/*
 * The object that x-ms-copy-source names, on its condition; NULL when the request has failed.
 * signed_only: with an address that everybody may read, as a block's; else in the same account.
 */
struct web_object *web_azure_source(struct web_req *, bool signed_only);
void web_azure_put(struct web_req *);
void web_azure_get(struct web_req *);
void web_azure_delete(struct web_req *);
void web_azure_metadata(struct web_req *);
void web_azure_etag(struct web_object *);
/* Checks before the body: conditions, metadata, checksums. May fail the request. */
void web_azure_check_blob(struct web_req *);
/* Whether the body has the announced checksums; the request has failed otherwise. */
bool web_azure_sums_verify(struct web_req *);
/* Takes over the stored headers of the request. */
void web_azure_take_headers(struct web_object *, const struct web_req *);
/* Puts it into the store under the request's conditions and answers 201. Shares the object. */
void web_azure_store(struct web_req *, struct web_object *);

/* web_azure_block.c */
void web_azure_block(struct web_req *);
void web_azure_block_list(struct web_req *);
void web_azure_blocks(struct web_req *);
/* Forgets the uncommitted blocks of the request's blob, as each write of it does. */
void web_azure_blocks_drop(struct web_req *);

/* web_azure_list.c */
void web_azure_list(struct web_req *);
void web_azure_containers(struct web_req *);
