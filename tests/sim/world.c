/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include "tests/sim/plants.h"
#include "tests/sim/watch.h"

/* The journal alone takes little time: so often in one run. */
#define REGISTERS 3u

struct world world;

static uint64_t ms(uint64_t n)
{
	return n * NS_PER_MS;
}

static void whole_fault(struct mem_fate *fate, enum outage o)
{
	if (o == OUTAGE_REFUSES)
		*fate = (struct mem_fate){ .lost = true, .result = -EAGAIN, .executed_not = true,
					   .answer_ns = ms(1) };
	else
		*fate = (struct mem_fate){ .lost = true, .mute = true };
}

/* One request goes wrong in a way of its own. */
static void own_fault(enum store_op op, struct mem_fate *fate)
{
	switch (sim_below(7)) {
	case 0: /* it never arrives */
		fate->lost = fate->mute = true;
		break;
	case 1: /* the answer never arrives */
		fate->mute = true;
		break;
	case 2: /* executed, and nobody says so */
		fate->result = op == STORE_PUT ? STORE_UNKNOWN : -EAGAIN;
		break;
	case 3: /* not executed, and nobody says so */
		fate->lost = true;
		fate->result = op == STORE_PUT ? STORE_UNKNOWN : -EAGAIN;
		break;
	case 4: /* executed long after the answer */
		fate->early = op == STORE_PUT;
		fate->result = op == STORE_PUT ? STORE_UNKNOWN : 0;
		fate->execute_ns += ms(sim_below(15000));
		break;
	case 5: /* slow there */
		fate->execute_ns += ms(sim_below(6000));
		break;
	default: /* slow back */
		fate->answer_ns += ms(sim_below(6000));
	}
}

/* Is the way shut just now? As long as nothing is drawn for it, it stays as it is. */
static bool flaps(const struct member_store *way, uint64_t now)
{
	uint64_t x = sim_seed() * 0x9e3779b97f4a7c15u + now / world.flap_ns * 1021 +
		     way->member * 31 + way->store;

	x = (x ^ (x >> 31)) * 0xbf58476d1ce4e5b9u;
	return (x >> 40) % 100 < world.shut_percent;
}

static void plan(enum store_op op, struct span name, struct mem_fate *fate, void *arg)
{
	const struct member_store *way = arg;
	const uint64_t now = clock_now(), latency = world.latency_ns[way->store];

	if (world.outage[way->store] != OUTAGE_NONE && now < world.outage_until[way->store]) {
		whole_fault(fate, world.outage[way->store]);
		return;
	}
	fate->execute_ns = latency / 4 + sim_below(latency);
	fate->answer_ns = fate->execute_ns + latency / 4 + sim_below(latency);
	if (way->member == 0 || world.healed) /* the format, the last reader */
		return;
	if (op == STORE_PUT && sim_chance(world.drop_percent)) {
		fate->lost = true;
		fate->result = STORE_UNKNOWN;
	} else if (world.flap_ns && flaps(way, now)) {
		fate->lost = true;
		fate->mute = sim_chance(50);
		fate->result = op == STORE_PUT ? STORE_UNKNOWN : -EAGAIN;
	} else if (now < world.cut_until[way->member - 1][way->store]) {
		fate->mute = true;
		fate->lost = sim_chance(70);
	} else if (sim_chance(world.bad_percent)) {
		own_fault(op, fate);
	}
}

static void draw(void)
{
	static const uint64_t holds_ms[] = { 300, 1000, 2000 };

	world = (struct world){ .cluster.plan = plan };
	world.n_machines = 1 + (unsigned)sim_below(MACHINES_MAX);
	world.steps = 10 + (unsigned)sim_below(30);
	world.bad_percent = sim_chance(30) ? 0 : (unsigned)sim_below(25);
	if (sim_chance(15)) {
		world.n_machines = MACHINES_MAX;
		world.flap_ns = ms(20 + sim_below(1000));
		world.shut_percent = 50;
	}
	for (unsigned i = 0; i < CLUSTER_STORES; i++)
		world.latency_ns[i] = ms(1 + sim_below(sim_chance(20) ? 200 : 20));
	world.options.hold_ns = ms(holds_ms[sim_below(ARRAY_SIZE(holds_ms))]);
	/* When it is long, much is answered early. */
	world.options.delay_ns = ms(50 + sim_below(sim_chance(30) ? 3000 : 450));
	world.options.freshness_ns = ms(300 + sim_below(700));
	world.options.deadline_ns = 60 * NS_PER_S;
}

/* Something happens to a machine or a store. */
static void strike(void)
{
	const unsigned store = (unsigned)sim_below(CLUSTER_STORES);
	struct machine *m = &world.machines[sim_below(world.n_machines)];
	const uint64_t now = clock_now();

	switch (sim_below(5)) {
	case 0:
		sim_group_pause(m->group, now + ms(sim_below(sim_chance(20) ? 60000 : 8000)));
		watch_say("machine %u is paused", m->number);
		break;
	case 1:
		sim_group_wall_skew(m->group,
				    (int64_t)(sim_below(200) * NS_PER_S) - 100 * (int64_t)NS_PER_S);
		break;
	case 2:
		world.cut_until[m->number][store] = now + ms(sim_below(15000));
		watch_say("machine %u is cut from store %u", m->number, store);
		break;
	default:
		world.outage[store] = sim_chance(50) ? OUTAGE_REFUSES : OUTAGE_MUTE;
		world.outage_until[store] = now + ms(sim_below(15000));
		watch_say("store %u is away", store);
	}
}

static bool programs_run(void)
{
	for (unsigned i = 0; i < world.n_machines; i++)
		if (world.machines[i].task)
			return true;
	return false;
}

static void chaos(void)
{
	const bool calm = sim_chance(25);

	while (!world.stop) {
		sleep_for(ms(100 + sim_below(4000)));
		if (!calm && programs_run())
			strike();
	}
}

static void chaos_task(void *arg)
{
	chaos();
}

void world_heal(void)
{
	world.healed = true;
	for (unsigned i = 0; i < CLUSTER_STORES; i++)
		world.outage[i] = OUTAGE_NONE;
	for (unsigned i = 1; i < SIM_GROUPS; i++)
		sim_group_pause(i, 0);
	if (sim_chance(30)) { /* a majority is enough */
		const unsigned gone = (unsigned)sim_below(CLUSTER_STORES);

		world.outage[gone] = sim_chance(50) ? OUTAGE_REFUSES : OUTAGE_MUTE;
		world.outage_until[gone] = NEVER;
		watch_say("healed, but for store %u", gone);
	}
}

static void start_all(void)
{
	for (unsigned i = 0; i < world.n_machines; i++) {
		struct machine *m = &world.machines[i];

		m->number = i;
		m->kv = kv_memory(COL_COUNT);
		m->task = task_start("programs", machine_programs, m);
		if (!m->kv || !m->task)
			abort();
	}
}

/* The last reader begins at slot 0 and sees what everybody saw. */
static void read_all(void)
{
	struct commit_options o = world.options;
	struct kv *kv = kv_memory(COL_COUNT);
	struct commit_status st;
	struct member r;

	o.read_only = true;
	if (!kv || member_open(&r, &world.cluster, 0, true))
		abort();
	const int r0 = member_mount(&r, kv, &o, NULL, clock_now() + 120 * NS_PER_S);

	if (r0)
		watch_fail("a reader could not follow the journal: %d", r0);
	commit_status_get(r.commit, &st);
	if (st.applied_slot < watch_slot())
		watch_fail("a reader ends at slot %llu, and slot %llu was chosen",
			   (unsigned long long)st.applied_slot, (unsigned long long)watch_slot());
	member_close(&r);
	kv_close(kv);
}

static void last_check(void)
{
	for (unsigned i = 0; i < world.n_machines; i++)
		machine_must_work(&world.machines[i]);
	for (unsigned i = 0; i < world.n_machines; i++)
		machine_stop(&world.machines[i], clock_now() + 120 * NS_PER_S);
	read_all();
	watch_check_stores(&world.cluster);
	watch_check_told();
}

static void machines_run(void)
{
	struct task *trouble;

	if (cluster_format(&world.cluster))
		watch_fail("could not format");
	start_all();
	trouble = task_start("chaos", chaos_task, NULL);
	for (unsigned i = 0; i < world.n_machines; i++)
		task_join(world.machines[i].task);
	world.stop = true;
	task_join(trouble);
	world_heal();
	last_check();
	for (unsigned i = 0; i < world.n_machines; i++)
		kv_close(world.machines[i].kv);
}

/* One volume's life. */
static void one_life(void (*run)(void))
{
	watch_begin();
	draw();
	watch_say("%u machines, %u steps, %u%% bad", world.n_machines, world.steps,
		  world.bad_percent);
	if (cluster_open(&world.cluster))
		watch_fail("no memory");
	run();
	cluster_close(&world.cluster);
	watch_end();
}

void world_run(uint64_t seed)
{
	sim_begin(seed);
	plant_machine = MACHINES_MAX;
	if (seed % 4) {
		one_life(machines_run);
	} else {
		for (unsigned i = 0; i < REGISTERS; i++)
			one_life(register_run);
	}
	sim_end();
}
