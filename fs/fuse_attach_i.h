/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of attached buckets share: fuse_attach.c (looking), fuse_attach_open.c,
 * fuse_attach_file.c (reading and writing), fuse_attach_writing.c (the drafts), fuse_attach_attr.c,
 * fuse_attach_change.c (names).
 */
#include "fs/attach/draft.h"
#include "fs/fuse_i.h"

#include <sys/stat.h>
#include <uthash.h>

/* Conditions of an operation on a bucket. */
enum { AT_WOULD_WAIT = 1, AT_MISSING };

struct at_call;
struct at_handle;
typedef int at_fn(struct at_call *c, bool wait);
typedef void at_answer(struct at_call *c, fuse_req_t req, int r);

struct at_call {
	struct mountfs *fs;
	struct later *later; /* once it waits */
	at_fn *fn;
	at_answer *answer;
	uint64_t ino;
	char name[NAME_MAX_BYTES + 1];
	size_t size;
	uint64_t off;
	bool plus;
	struct fuse_file_info fi;
	pid_t pid; /* the thread that asked */
	struct stat attr; /* setattr */
	int set;
	bool by_handle;
	uint64_t to; /* rename */
	char to_name[NAME_MAX_BYTES + 1];
	unsigned flags;
	fuse_req_t req; /* of readdir, for the layout of entries alone */
	/* what came out */
	struct bucket_entry entry;
	struct at_handle *handle; /* of the file; open: the new one, until the kernel has it */
	uint8_t *bytes;
	size_t len;
};

/*
 * Runs fn without waiting, and if it answers AT_WOULD_WAIT, on the pool with waiting; then answers.
 * Takes the call. at_call_new answers the request itself when there is no memory.
 */
struct at_call *at_call_new(fuse_req_t req, uint64_t ino, at_fn *fn, at_answer *answer);
/* The same for a name in a directory; answers what cannot be (at_refuse) and a name too long. */
struct at_call *at_call_named(fuse_req_t req, fuse_ino_t dir, const char *name, at_fn *fn,
			      at_answer *answer, int taken);
/* The attributes of c->entry. */
void at_answer_attr(struct at_call *c, fuse_req_t req, int r);
void at_run(fuse_req_t req, struct at_call *takes);
void at_run_on(struct pool *pool, fuse_req_t req, struct at_call *takes);
int at_get_entry(struct mountfs *fs, uint64_t ino, bool wait, struct bucket_entry *ret);
int at_from_bucket(int r);
void at_entry_fill(struct mountfs *fs, const struct bucket_entry *e, struct fuse_entry_param *ret);
void at_stat(struct mountfs *fs, const struct bucket_entry *e, struct stat *ret);
double at_seconds(struct mountfs *fs, uint64_t ino);
struct attached *at_bucket(struct mountfs *fs, uint64_t ino);
/* The directory that holds the attachments. */
bool at_top(struct mountfs *fs, uint64_t ino);
static inline enum bucket_wait bucket_wait(bool wait)
{
	return wait ? BUCKET_WAIT : BUCKET_NO_WAIT;
}

/*
 * A file being written, shared by its handles (fuse_attach_writing.c). While it is there, it is
 * what this mount's programs see of the file's size.
 */
struct writing {
	struct writing *prev, *next;
	unsigned refs;
	struct mountfs *fs;
	struct attached *attached;
	struct draft *draft;
	struct bucket_entry entry; /* as opened, or as published since; under fs->at_lock */
	char name[NAME_MAX_BYTES + 1];
};
enum writing_how {
	WRITING_NEW,  /* nothing is there */
	WRITING_EXCL, /* the same, and nothing may be (O_EXCL) */
	WRITING_ANEW, /* what is there is replaced (O_TRUNC) */
	WRITING_ON,   /* what is there is changed */
};
/* Not yet in the list: writing_add. */
int writing_new(struct mountfs *fs, struct attached *a, const struct bucket_entry *e,
		const char *name, enum writing_how how, struct writing **ret);
/* Another one may have been quicker: then that one is shared. Takes w. */
struct writing *writing_add(struct mountfs *fs, struct writing *takes);
/* A draft of what is there, for one more handle or change. 0, AT_WOULD_WAIT, -errno. */
int writing_open(struct mountfs *fs, struct attached *a, const struct bucket_entry *e,
		 bool truncate, bool wait, struct writing **ret);
/* Publishes, waits, and the listing knows it. */
int writing_publish(struct writing *w);
/* Mode, owner, time: now, or with what is to be published. */
int writing_describe(struct writing *w, const struct object_meta *m);
/* Referenced, or NULL. */
struct writing *writing_find(struct mountfs *fs, uint64_t ino);
struct writing *writing_named(struct mountfs *fs, uint64_t dir, const char *name);
void writing_unref(struct mountfs *fs, struct writing *w);
/* The file as this mount shows it. */
void writing_entry(struct writing *w, struct bucket_entry *ret);
/* Size and time of the draft. */
void writing_overlay(struct writing *w, struct bucket_entry *e);

/* An open file; shared by its requests under way. */
struct at_handle {
	unsigned refs; /* atomic */
	struct mountfs *fs;
	struct object *object;   /* to read what is published; or NULL */
	struct writing *writing; /* to write; or to read what is not published yet; or NULL */
	bool writes;
	pid_t opener;     /* the process; 0: not known */
	bool opener_left; /* it has closed it: whoever closes now means it (atomic) */
	bool append;
	struct at_pages *pages; /* those that it reads through; or NULL */
};
/* fuse_attach_pages.c */
enum at_pages_use {
	AT_PAGES_KEEP, /* the kernel's pages are of this version */
	AT_PAGES_DROP, /* they are of another one, and nobody reads through them */
	AT_PAGES_NONE, /* somebody does: they are not to be used */
};
/* By a handle that reads the entry's version; until at_pages_close(). */
enum at_pages_use at_pages_open(struct at_handle *h, const struct bucket_entry *e);
void at_pages_close(struct at_handle *h);
/* The kernel asks for something to read: its opening is over. */
void at_pages_read(struct at_handle *h);
/* The size of the file, as it may be shown: that of pages in use, if it is larger. */
uint64_t at_pages_shown(struct mountfs *fs, const struct bucket_entry *e);
/* Would a read up to there go over the end of what is read, where the kernel sees none? -ESTALE. */
bool at_pages_end(const struct at_handle *h, uint64_t end);
/* The process that a thread belongs to; 0: not known. */
pid_t process_of(pid_t tid);
struct at_handle *handle_ref(struct at_handle *h);
void handle_unref(struct at_handle *h); /* takes NULL */
static inline struct at_handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct at_handle *)(uintptr_t)fi->fh;
}
/* The key that a name in the directory stands for. ret: STORE_NAME_MAX + 1 bytes. */
int at_key_of(struct at_call *c, uint64_t dir, const char *name, bool wait, char *ret);
/*
 * Answers a change that cannot be: `taken` for the name of an attachment, EROFS beside them and
 * where nothing may be written, EPERM for what a bucket cannot hold.
 */
void at_refuse(fuse_req_t req, fuse_ino_t parent, const char *name, int taken);
