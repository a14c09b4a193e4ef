/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor: old slots are deleted while mounts sleep, and no sleeper may take the empty place, or the rubbish in it, for the journal.
 *
 * A slot is one created-once object per store here (journal.pml has the real acceptors): the same content at a majority is chosen.
 * A writer that never sleeps extends the journal, writes a floor and deletes below it. Two mounts may stop anywhere for any time,
 * answers in hand or requests on their way, and each may create a record of its own. Time may go on at any moment, for ever: kept
 * are ages, and only as far as a rule tells them apart. Store 0's clock is SKEW ahead of the others'.
 *
 * Asserted whenever a mount believes an answer: what it takes for chosen is chosen; where it sees nothing, nothing had been chosen.
 */
#define NST	3
#define MAJ	2
#ifndef NSLOT
#define NSLOT	2
#endif
#ifndef RETENTION
#define RETENTION 3			/* in steps of time */
#endif
#define YOUNG	1			/* the quarter of it */
#ifndef SLEEPERS
#define SLEEPERS 2
#endif
#ifndef CREATORS
#define CREATORS 1			/* mounts that also create; the others only learn */
#endif
#ifndef SKEW
#define SKEW	1
#endif
#define MAX_AGE	(YOUNG + SKEW + 1)	/* of a stamp: older makes no difference */
#define AGE(t)	((t) == 0 -> 0 : SKEW)	/* of a Date that store t gives now, by the clock that is ahead */

/* content of a slot at a store: 0 nothing, WRITER, or the number of the mount that created it */
#define WRITER	3
#define C(t, s)	content[(t) * NSLOT + (s)]
byte content[NST * NSLOT];
byte chosen[NSLOT];			/* the truth */

byte floor[NST];			/* m: slots below may be gone; 0: none */
byte floor_age;				/* of the younger of two: Date minus Last-Modified, by each store's own clock */
byte stamp[2];				/* each mount's: the age of it. At first of an empty poll at time 0 */
byte oldest[2];				/* the age of the earliest Date of the answers or floors in hand, plus 1; 0: no matter */

hidden byte c, i;

inline create(t, s, who)
{
	printf("store %d: slot %d = %d\n", t, s, who);
	C(t, s) = who;
	if
	:: !chosen[s] && (C(0, s) == who) + (C(1, s) == who) + (C(2, s) == who) >= MAJ -> chosen[s] = who
	:: else -> skip
	fi;
	skip
}

inline pass(m)
{
	if
	:: true ->
		stamp[m] = (stamp[m] < MAX_AGE -> stamp[m] + 1 : stamp[m]);
		oldest[m] = (oldest[m] && oldest[m] <= MAX_AGE -> oldest[m] + 1 : oldest[m])
#ifdef LOCAL_CLOCK
	:: true					/* bug: by the mount's own clock, and it was paused */
#endif
	fi
}

active proctype clock()
{
end:	do
	:: atomic {
		floor_age = ((floor[0] != 0) + (floor[1] != 0) + (floor[2] != 0) >= MAJ && floor_age <= RETENTION -> floor_age + 1 : floor_age);
		printf("time goes on; age of the floors %d\n", floor_age);
		pass(0);
		pass(1)
	   }
	od
}

#ifdef DELETE_AT_ONCE
#define OLD	((floor[0] != 0) + (floor[1] != 0) + (floor[2] != 0) >= MAJ)
#else
#define OLD	(floor_age > RETENTION)
#endif

#if NSLOT > 1
#define TIP	((chosen[0] != 0) + (chosen[1] != 0))
#else
#define TIP	(chosen[0] != 0)
#endif

/* the mount that is always awake, and gc */
active proctype writer()
{
	byte m, t;

end:	do
	/* its record for the slot at the tip; also for the one before, at a store that missed it */
	:: atomic {
		true ->
		do
		:: t + 1 < NST * NSLOT -> t++
		:: !C(t % NST, t / NST) && t / NST >= m && (t / NST == TIP || (t / NST + 1 == TIP && chosen[t / NST] == WRITER)) ->
			d_step { create(t % NST, t / NST, WRITER) };
			break
		:: t + 1 == NST * NSLOT -> break
		od;
		t = 0
	   }
	/* a floor m, with the checkpoint before it: one number for all stores, each gets it some time */
	:: d_step { TIP > 0 && !floor[0] -> m = (m -> m : TIP); floor[0] = m; printf("store 0: floor %d\n", m) }
	:: d_step { TIP > 0 && !floor[1] -> m = (m -> m : TIP); floor[1] = m; printf("store 1: floor %d\n", m) }
	:: d_step { TIP > 0 && !floor[2] -> m = (m -> m : TIP); floor[2] = m; printf("store 2: floor %d\n", m) }
	/* gc deletes below it, in any order, late PUTs too: once it stands at a majority, long enough by each of their own clocks */
	:: atomic {
		m && OLD ->
		do
		:: t + 1 < NST * m -> t++
		:: C(t % NST, t / NST) -> d_step { C(t % NST, t / NST) = 0; printf("store %d: slot %d deleted\n", t % NST, t / NST) }; break
		:: t + 1 == NST * m -> break
		od;
		t = 0
	   }
	od
}

#define IDLE	0
#define ASKED	1			/* one store has answered */
#define FLOORS	2			/* the answers wait for a floor reading */

#define STAMP	stamp[me - 1] = oldest[me - 1] - 1

/* back to IDLE, whatever was learned or not */
inline forget()
{
	ph = IDLE;
	was = false;
	heard = 0;
	said = 0;
	fresh = false;
	oldest[me - 1] = 0;
	f_high = 0
}

inline advance(to)
{
	s = to;
	stamp[me - 1] = (s == NSLOT -> MAX_AGE : stamp[me - 1])	/* at the end of the model it is no matter */
}

/* a majority said the same, and it is believed: this is what must be true */
inline believe()
{
	printf("mount %d: slot %d holds %d\n", me, s, said);
	if
	:: !said ->
		assert(!was);				/* nothing had been chosen when I asked */
		if
		:: ph != FLOORS -> STAMP		/* an empty poll of a majority */
		:: else -> skip
		fi
	:: else ->
		assert(chosen[s] == said);		/* learned, or mine at a majority */
#ifdef STAMP_BY_LEARNING
		if
		:: ph != FLOORS -> STAMP
		:: else -> skip
		fi;
#endif
		advance(s + 1)
	fi;
	forget()
}

#ifdef STAMP_BY_LEARNING
#define KEEP_DATE true
#else
#define KEEP_DATE !said
#endif

inline arrive(t, s)
{
	d_step {
		if
		:: !C(t, s) -> create(t, s, me)
		:: else -> skip
		fi;
		late[s] = late[s] & (7 - (1 << (t)))
	}
}

inline date(t)
{
	oldest[me - 1] = (AGE(t) >= oldest[me - 1] -> AGE(t) + 1 : oldest[me - 1])
}

active [SLEEPERS] proctype mount()
{
	byte me;			/* 1 or 2 */
	byte s;				/* nothing below is unknown */
	byte ph;
	byte heard, said;		/* the stores that answered, as a set, and what: content seen, or created */
	bool fresh;			/* all answers' Dates are at most YOUNG after the stamp */
	byte f_high;			/* the highest floor just read */
	byte late[NSLOT];		/* stores to which one's create is on its way, waited for or not */
	bool was;			/* truth: s was chosen when the asking began */
	byte t;

	d_step { me = _pid - 1; forget() };
end:	do
	/* a record of one's own goes to all stores */
	:: d_step { ph == IDLE && s < NSLOT && me <= CREATORS && !late[s] -> late[s] = 7 }

	/*
	 * An answer to a GET, or to a create that arrives. Only two stores are heard: the two whose equal answers make the
	 * majority (different ones show nothing). When they are processed does not matter, their Dates do.
	 */
	:: atomic {
		ph != FLOORS && s < NSLOT ->
		if
		:: heard != 1 -> t = 0
		:: heard != 2 -> t = 1
		:: heard != 4 -> t = 2
		fi;
		if
		:: late[s] & (1 << t) -> arrive(t, s)
		:: true -> skip
		fi;
		d_step {
			was = (heard -> was : chosen[s] != 0);
			fresh = (!heard || fresh) && stamp[me - 1] <= YOUNG + AGE(t);
			date(t);
			if
			:: !heard ->
				ph = ASKED;
				printf("mount %d: asks for slot %d; store %d says %d\n", me, s, t, C(t, s));
				heard = 1 << t;
				said = C(t, s);
				was = was && !said;
				oldest[me - 1] = (fresh && KEEP_DATE -> oldest[me - 1] : 0)
			:: heard && said != C(t, s) -> forget()
			:: else ->			/* believable? */
				if
				:: fresh -> c = 1
#ifdef FLOOR_EMPTY_ONLY
				:: !fresh && said -> c = 1
#endif
				:: else -> c = 0
				fi;
				if
				:: c -> believe()
				:: else -> ph = FLOORS; heard = 0; oldest[me - 1] = 0; fresh = false
				fi
			fi;
			t = 0
		}
	   }
	/*
	 * The floors of a majority, read now: after the answers. Both at one instant, any time: what is believed after reading
	 * one a little later would be believed with the earlier reading too, and under the same stamp.
	 */
	:: atomic {
		ph == FLOORS ->
		if
		:: t = 0				/* the store that is not read */
		:: t = 1
		:: t = 2
		fi;
		d_step {
			f_high = (t != 0 && floor[0] > f_high -> floor[0] : f_high);
			f_high = (t != 1 && floor[1] > f_high -> floor[1] : f_high);
			f_high = (t != 2 && floor[2] > f_high -> floor[2] : f_high);
			printf("mount %d: reads the floor: %d\n", me, f_high);
			oldest[me - 1] = AGE(1) + 1;
			STAMP;
			t = 0;
			if
			:: s < f_high -> advance(f_high); forget()	/* start over from the checkpoint that it names */
			:: else -> believe()
			fi;
			skip
		}
	   }
	/* a create that arrives while nobody hears its answer */
	:: atomic {
		(late[0] || late[NSLOT - 1]) ->
		do
		:: t + 1 < NST * NSLOT -> t++
		:: break
		od;
		d_step {
			if
			:: late[t / NST] & (1 << (t % NST)) -> arrive(t % NST, t / NST)
			:: else -> skip
			fi;
			t = 0
		}
	   }
	/* time: what was asked is forgotten, or asked again */
	:: d_step { ph != IDLE -> forget() }
	od
}
