/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/disk_fault.h"

#include "base/defs.h"

#include <sys/uio.h>
#include <unistd.h>

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
ssize_t __real_pwritev64(int fd, const struct iovec *v, int n, off_t off);
ssize_t __wrap_pwritev64(int fd, const struct iovec *v, int n, off_t off);

static unsigned sync_in, sync_more, write_in, syncs;
static int sync_error, write_error;
static uint64_t write_bytes;

void disk_fault_sync(unsigned n, unsigned more, int error)
{
	sync_in = n;
	sync_more = more;
	sync_error = error;
}

void disk_fault_write(unsigned n, uint64_t bytes, int error)
{
	write_in = n;
	write_bytes = bytes;
	write_error = error;
}

unsigned disk_syncs(void)
{
	return syncs;
}

int __wrap_fdatasync(int fd)
{
	if (sync_in > 1) {
		sync_in--;
	} else if (sync_in == 1) {
		sync_in = sync_more ? 1 : 0;
		sync_more -= sync_more ? 1 : 0;
		errno = sync_error;
		return -1;
	}
	syncs++;
	return __real_fdatasync(fd);
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *v, int n, off_t off)
{
	struct iovec some;

	if (write_in > 1) {
		write_in--;
	} else if (write_in == 1 && write_bytes) {
		some = (struct iovec){ v->iov_base, MIN(v->iov_len, write_bytes) };
		write_bytes = 0;
		return __real_pwritev64(fd, &some, 1, off);
	} else if (write_in == 1) {
		write_in = 0;
		errno = write_error;
		return -1;
	}
	return __real_pwritev64(fd, v, n, off);
}
