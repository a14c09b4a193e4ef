/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside fs/fuse*.c: one mounted volume as the kernel sees it.
 *
 * (K1) FUSE threads answer what is known on this machine and never wait; what needs the network or
 *      a commit is answered later, from a pool or by the commit task.
 * (K2) Node ids are inode numbers, for ever; nothing is kept per inode, so `forget` has nothing to
 *      do.
 * (K3) A request is answered exactly once, whoever comes first: its own end, or its interruption
 *      (later_claim).
 * (K4) What the kernel caches it is told to forget when another mount changed it, by a thread that
 *      holds nothing.
 */
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/fuse.h"
#include "fs/ns/lookup.h"

struct notify;
struct interrupts;

#define AT_OPENED 4096

struct mountfs {
	struct volume *v;
	const struct mount_options *o;
	struct fuse_session *session;
	struct pool *readers;  /* reads that wait for a store */
	struct pool *writers;  /* writes, flushes and what else waits */
	struct notify *notify;
	struct interrupts *interrupts;
	uint64_t root;         /* the inode shown as the root (subdir=) */
	int ready_fd;
	uint64_t others_ns;    /* clock of the last change by another mount; atomic */
	_Atomic bool can_expire; /* the kernel can expire an entry without dropping it */
	struct volume_hooks hooks;
	/* attached buckets */
	struct lock at_lock; /* RANK_LEAF */
	struct writing *writings;
	struct budget *at_budget; /* of what is being written there */
	struct budget *at_disk;   /* the same, of what leaves memory */
	struct at_opened {
		uint64_t ino, version;
	} opened[AT_OPENED]; /* what the kernel has pages of */
	struct at_pages *pages; /* those that are in use, by inode; under at_lock */
};

static inline struct mountfs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}
static inline struct commit *commit_of(struct mountfs *fs)
{
	return fs->v->commit;
}
static inline uint64_t real_ino(struct mountfs *fs, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? fs->root : ino;
}
static inline fuse_ino_t shown_ino(struct mountfs *fs, uint64_t ino)
{
	return ino == fs->root ? FUSE_ROOT_ID : ino;
}

/* fuse_interrupt.c: answering later */
struct later {
	struct later *prev, *next; /* those that were interrupted */
	fuse_req_t req;
	struct mountfs *fs;
	pid_t pid;     /* the thread that waits */
	bool answered; /* atomic */
	bool watched;
	struct metric *metric; /* of the operation */
	uint64_t begin_ns;
};
/*
 * From now on a signal that ends the program is answered with EINTR. NULL: no memory (nothing was
 * answered).
 */
struct later *later_new(fuse_req_t req);
/* True: the caller answers l->req, now. False: it was answered. */
bool later_claim(struct later *l);
/*
 * A program that was killed closes its files, and nobody hears how that goes: it is answered now,
 * what is done goes on.
 */
void later_let_go(struct later *l);
void later_free(struct later *l);
int interrupts_start(struct mountfs *fs);
/* Waits for the last answer. */
void interrupts_stop(struct mountfs *fs);

/*
 * fuse_awake.c: may this operation look at the namespace? False: it was answered. Waits only where
 * the mount was cut off from the journal for so long that what it shows may be gone.
 */
bool is_awake(fuse_req_t req, const char *operation);

/* fuse_reply.c */
/* Claims, answers, frees. error: 0 or -errno. */
void later_reply_err(struct later *l, int error);
/*
 * The one place where -errno becomes errno; logs what no program should see, with where it began.
 */
void reply_err(fuse_req_t req, int error);

/* An inode's attributes as programs see them. 0, -ESTALE, -errno. */
int stat_of(struct mountfs *fs, uint64_t ino, struct stat *ret);
void stat_fill(struct mountfs *fs, uint64_t ino, const struct inode_row *row, struct stat *ret);
/* How long the kernel may believe an answer, seconds. */
double cache_seconds(struct mountfs *fs);
int entry_of(struct mountfs *fs, uint64_t ino, struct fuse_entry_param *ret);
/* What df shows: an object store has no size. */
void statfs_shown(struct statvfs *ret, uint64_t files, uint64_t bytes);

/* A pool's function that answers a request; runs it, or answers -ENOMEM/-EAGAIN in its place. */
void run_later(struct pool *pool, struct later *l, task_fn *fn, void *arg);

/*
 * fuse_strict.c: fn answers the request, at once; under `strict` when the state is as new as the
 * tip was at the call. name (of NAME_MAX_BYTES at most), fi: what fn wants, or NULL; copied.
 */
typedef void strict_fn(fuse_req_t req, fuse_ino_t ino, const char *name, struct fuse_file_info *fi);
void answer_strictly(fuse_req_t req, strict_fn *fn, fuse_ino_t ino, const char *name,
		     struct fuse_file_info *fi);

/* fuse_sum.c: the value of user.mangrove.sha256, now or later */
void answer_sum(fuse_req_t req, uint64_t ino, size_t size);

/* fuse_timed.c: the operations with their times */
extern const struct fuse_lowlevel_ops timed_ops;
void timed_defer(struct later *l);
void timed_end(const struct later *l);
/* fuse.c */
void do_init(void *userdata, struct fuse_conn_info *conn);

/* fuse_notify.c */
int notify_start(struct mountfs *fs);
void notify_stop(struct mountfs *fs);

/*
 * The operations: name, does it concern an attached bucket, parameters, arguments. do_NAME is in
 * fuse_name.c, fuse_attr.c, fuse_dir.c and fuse_file.c; at_NAME, the same for attached buckets, in
 * fuse_attach*.c; timed_NAME, which chooses, in fuse_timed.c.
 */
#define FUSE_OPERATIONS(OP) \
	OP(lookup, at_name(fs_of(req), parent, name), \
	   (fuse_req_t req, fuse_ino_t parent, const char *name), \
	   (req, parent, name)) \
	OP(getattr, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), \
	   (req, ino, fi)) \
	OP(setattr, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set, \
	    struct fuse_file_info *fi), \
	   (req, ino, attr, set, fi)) \
	OP(readlink, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino), \
	   (req, ino)) \
	OP(mknod, at_name(fs_of(req), parent, name), \
	   (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev), \
	   (req, parent, name, mode, rdev)) \
	OP(mkdir, at_name(fs_of(req), parent, name), \
	   (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode), \
	   (req, parent, name, mode)) \
	OP(unlink, at_name(fs_of(req), parent, name), \
	   (fuse_req_t req, fuse_ino_t parent, const char *name), \
	   (req, parent, name)) \
	OP(rmdir, at_name(fs_of(req), parent, name), \
	   (fuse_req_t req, fuse_ino_t parent, const char *name), \
	   (req, parent, name)) \
	OP(symlink, at_name(fs_of(req), parent, name), \
	   (fuse_req_t req, const char *target, fuse_ino_t parent, const char *name), \
	   (req, target, parent, name)) \
	OP(rename, at_name(fs_of(req), parent, name) || at_name(fs_of(req), to, to_name), \
	   (fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, \
	    const char *to_name, unsigned flags), \
	   (req, parent, name, to, to_name, flags)) \
	OP(link, at_place(fs_of(req), ino) || at_name(fs_of(req), parent, name), \
	   (fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name), \
	   (req, ino, parent, name)) \
	OP(open, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), \
	   (req, ino, fi)) \
	OP(read, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, \
	    struct fuse_file_info *fi), \
	   (req, ino, size, off, fi)) \
	OP(write, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off, \
	    struct fuse_file_info *fi), \
	   (req, ino, data, size, off, fi)) \
	OP(flush, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), \
	   (req, ino, fi)) \
	OP(release, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), \
	   (req, ino, fi)) \
	OP(fsync, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi), \
	   (req, ino, datasync, fi)) \
	OP(opendir, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), \
	   (req, ino, fi)) \
	OP(readdir, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, \
	    struct fuse_file_info *fi), \
	   (req, ino, size, off, fi)) \
	OP(readdirplus, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, \
	    struct fuse_file_info *fi), \
	   (req, ino, size, off, fi)) \
	OP(releasedir, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi), \
	   (req, ino, fi)) \
	OP(fsyncdir, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi), \
	   (req, ino, datasync, fi)) \
	OP(statfs, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino), \
	   (req, ino)) \
	OP(setxattr, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, \
	    size_t size, int flags), \
	   (req, ino, name, value, size, flags)) \
	OP(getxattr, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, const char *name, size_t size), \
	   (req, ino, name, size)) \
	OP(listxattr, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, size_t size), \
	   (req, ino, size)) \
	OP(removexattr, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, const char *name), \
	   (req, ino, name)) \
	OP(create, at_name(fs_of(req), parent, name), \
	   (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, \
	    struct fuse_file_info *fi), \
	   (req, parent, name, mode, fi)) \
	OP(fallocate, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, \
	    struct fuse_file_info *fi), \
	   (req, ino, mode, off, len, fi)) \
	OP(lseek, at_place(fs_of(req), ino), \
	   (fuse_req_t req, fuse_ino_t ino, off_t off, int whence, \
	    struct fuse_file_info *fi), \
	   (req, ino, off, whence, fi)) \
	OP(copy_file_range, at_place(fs_of(req), ino) || at_place(fs_of(req), to), \
	   (fuse_req_t req, fuse_ino_t ino, off_t off, struct fuse_file_info *fi, \
	    fuse_ino_t to, off_t to_off, struct fuse_file_info *to_fi, size_t len, \
	    int flags), \
	   (req, ino, off, fi, to, to_off, to_fi, len, flags))

#define DECLARE(name, at, parameters, arguments) \
	void do_##name parameters; \
	void at_##name parameters;
FUSE_OPERATIONS(DECLARE)
#undef DECLARE

/*
 * fuse_attach.c: is the inode one of an attached bucket's, or the name?
 */
bool at_place(struct mountfs *fs, fuse_ino_t ino);
bool at_name(struct mountfs *fs, fuse_ino_t parent, const char *name);
/*
 * The attachments' entries in the volume's root, after the cursor `off`: *ret_len bytes of buf.
 * True: those were all.
 */
bool at_top_entries(struct mountfs *fs, fuse_req_t req, char *buf, size_t size, bool plus,
		    uint64_t off, size_t *ret_len);
/* The cursor of the last of them; that of ".." where there are none. */
uint64_t at_top_last(struct mountfs *fs, uint64_t root);
#define READ_MAX (4 * MiB)
/* A thread's own buffer: warm memory is what bounds the speed of reads. NULL: no memory. */
uint8_t *read_buffer(size_t size);
/* Opens the file for a handle and sets what the kernel may cache of it. */
int open_handle(struct mountfs *fs, uint64_t ino, struct fuse_file_info *fi);
void close_handle(const struct fuse_file_info *fi);
