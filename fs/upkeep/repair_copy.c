/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/upkeep/copy.h"
#include "fs/upkeep/repair_i.h"


/* A whole chunk that verifies (Q1), from any store but the one to be repaired. */
static int read_good(struct copy_job *job, const char *name, struct blob **ret)
{
	const size_t size = chunk_sealed_length(&job->seal);
	uint64_t avoid = 1ull << job->store;

	while (job->have & ~avoid) {
		const struct get_req req = { .name = span_str(name), .limit = size,
					     .deadline_ns = clock_now() + COPY_DEADLINE_NS };
		_cleanup_buf_ struct buf bytes = BUF_INIT(size);
		uint64_t missing = 0;
		unsigned store = 0;
		int r = replicas_get(job->r->o.replicas, &req, job->have, avoid, &bytes, &store,
				     &missing);

		if (r < 0)
			return r;
		if (r == 0 && copy_verify(job->r->o.sealer, &job->seal, buf_span(&bytes)) == 0) {
			size_t len;
			uint8_t *data = buf_take(&bytes, &len);

			*ret = blob_from(data, len);
			return *ret ? 0 : fail(-ENOMEM);
		}
		if (r == 0) {
			repair_bad(job->r, &job->seal, store);
			missing |= 1ull << store;
		}
		if (!missing)
			break;
		avoid |= missing;
	}
	return fail(-EIO);
}

int repair_copy(struct copy_job *job)
{
	_cleanup_(blob_unrefp) struct blob *blob = NULL;
	_cleanup_(store_call_unrefp) struct store_call *call = NULL;
	char name[CHUNK_NAME_SIZE];
	int r;

	chunk_object_name(job->seal.id, name);
	r = read_good(job, name, &blob);
	if (r < 0)
		return r;

	const struct put_req req = { .name = span_str(name), .body = blob,
				     .cond = job->overwrite ? PUT_ALWAYS : PUT_IF_ABSENT,
				     .deadline_ns = clock_now() + COPY_DEADLINE_NS };
	const uint64_t begin = clock_now();

	r = store_put_wait(replicas_store(job->r->o.replicas, job->store), &req, &call);
	replicas_observe(job->r->o.replicas, job->store, r, clock_now() - begin,
			 blob_span(blob).len);
	if (r == STORE_EXISTS) /* the late copy had arrived after all */
		r = 0;
	return r > 0 ? fail(-EIO) : r;
}

static void run_job(void *arg)
{
	struct copy_job *job = arg;
	struct repair *r = job->r;

	job->result = repair_copy(job);
	LOCK_SCOPE(&r->sync.lock);
	r->sync.status.repaired_chunks += job->result == 0;
}

void repair_run(struct repair *r, struct copy_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		jobs[i].r = r;
	pool_each(r->pool, run_job, jobs, sizeof(*jobs), n);
	for (size_t i = 0; i < n; i++)
		if (jobs[i].result == 0)
			metric_add(r->m_repaired, 1);
}
