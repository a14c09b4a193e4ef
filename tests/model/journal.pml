/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: one ordered log on three object stores that know only "create, if absent", GET and nothing else.
 * README.md says what is modelled, what is left out, and which -D macro plants which bug.
 *
 * Invariants, asserted after every step that could break one:
 *  1. Agreement: per slot at most one record is ever chosen           (judge).
 *  2. What a mount learns or acknowledges is chosen, for all the same (learned).
 *  3. "Nothing was chosen when I asked" is right                      (reader).
 *  4. No intention of a client is applied twice                       (eval).
 *  5. An operation acknowledged to its client has been applied        (learned).
 *  6. No link appears above a gap; ballot 0 is the owner's alone      (put; correct rules only).
 */

/* ---- size of the configuration ------------------------------------------------------------------------------------ */
#define NST	3			/* stores; a majority is two */
#define MAJ	2
#ifndef NMOUNT
#define NMOUNT	2			/* mounts that run at the same time, at most 3 */
#endif
#ifndef RESTARTS
#define RESTARTS 0			/* how often mount 1 may be killed and started again */
#endif
#ifdef REUSE_0
#define NINC	NMOUNT			/* bug: the restarted process keeps its predecessor's name */
#else
#define NINC	(NMOUNT + RESTARTS)	/* incarnations, at most 3: 1 .. NMOUNT run, the others come by restart */
#endif
#ifndef NSLOT
#define NSLOT	2
#endif
#ifndef NROUND
#define NROUND	1			/* highest round of a ballot */
#endif
#ifndef NLINK
#define NLINK	(1 + 2 * NROUND * NINC)	/* links per chain: ballot 0 once, two links per other ballot; so never short */
#endif
#ifndef NLATE
#define NLATE	1			/* requests that may be applied after their sender stopped waiting */
#endif

/* ---- ballots, records, links -------------------------------------------------------------------------------------- */
#define B(round, i)	((round) * 4 + (i))	/* ordered as (round, incarnation); 0 is none */
#define INC(b)		((b) & 3)
#define ROUND(b)	((b) >> 2)
#define DECIDED		31			/* promised := infinity */
#define R(i, v)		((i) + 4 * (v))		/* a record: its author; v = 1 is a second one for the same slot (bugs only) */
#define NREC		8
#define L(t, s, k)	(((t) * NSLOT + (s)) * NLINK + (k))

/* link s.k of store t is the acceptor's whole state; promised = 0: no such object. `prev` needs no room: learned() asserts it */
byte promised[NST * NSLOT * NLINK];
byte acc_ballot[NST * NSLOT * NLINK];
byte acc_record[NST * NSLOT * NLINK];

/* every mount's request to every store, and what became of it */
byte req[NST * NMOUNT], ans[NST * NMOUNT];
#define K(t)	req[(t) * NMOUNT + me - 1]
#define ST(t)	ans[(t) * NMOUNT + me - 1]
#ifdef BLIND
byte seen[NST * NMOUNT];
#define SEEN(t)	seen[(t) * NMOUNT + me - 1]
#endif

byte next_owner[NREC * NSLOT];		/* field `next` of record r for slot s: who owns ballot 0 of slot s + 1 */
#define NEXT(r, s)	next_owner[(r) * NSLOT + (s)]
#ifndef OWNER_0
#define OWNER_0	1			/* as the record before slot 0 says */
#endif
#define OWNER(s)	((s) == 0 -> OWNER_0 : NEXT(chosen[(s) - 1], (s) - 1))

/* what is true, whether or not anyone knows it */
byte chosen[NSLOT];			/* record, 0: none */
#if defined(PLANTED) || defined(DECIDED_LINKS)
byte chosen_ballot[NSLOT];
#define CHOSEN_BALLOT(s) chosen_ballot[s]
#else
#define CHOSEN_BALLOT(s) 0
#endif
byte passed[NSLOT];			/* how many mounts have learned it */

#if NLATE
int late[NLATE];			/* sent, unanswered, no longer waited for; sorted, so that equal states look equal */
#define PACK(t, s, k, p, b, r)	(1 + (t) + 4 * (s) + 16 * (k) + 256 * (p) + 8192 * (b) + 262144 * (r))
#define LATE_SLOT(x)	((((x) - 1) / 4) & 3)
#define LATE_LINK(x)	L(((x) - 1) & 3, (((x) - 1) >> 2) & 3, (((x) - 1) >> 4) & 15)
#endif

byte fresh = NMOUNT + 1;		/* the next incarnation that a restart draws */

/* scratch of one indivisible step, no part of the state */
hidden byte n, t2, k2, c, i, x, m2;
hidden byte wt, ws, wk, wp, wb, wr;	/* a request: store, slot, k; promised, accepted ballot, accepted record */
hidden byte r, rb;
hidden int w;

#ifdef OPS
/* ---- operations: the replicated state that makes them happen once ------------------------------------------------- */
#define NOP	2			/* numbers per incarnation */
#define OP(x, n)	((x) * NOP + (n) - 1)		/* 2 .. 7 */
#define BIT(x, n)	(1 << OP(x, n))
#define FENCE	8			/* kind FENCE + x; smaller kinds are intentions of clients */
byte kind[4 * NOP];			/* what number n of incarnation x is; 0: not submitted. A number keeps its bytes for ever */
byte ops[NREC * NSLOT];			/* operations of record r for slot s, a set */
#define OPS_OF(r, s)	ops[(r) * NSLOT + (s)]
byte last[(NSLOT + 1) * 4];		/* last[x] in the state before slot s; the last row is after all */
#define LAST(s, x)	last[(s) * 4 + (x)]
byte fenced[NSLOT + 1];			/* set of incarnations, likewise */
byte intent_done;			/* truth: the intentions applied so far */
byte op_done;				/* truth: the operations that were evaluated, not only counted */

/* eval(op n of x), section "operations": iff n = last[x] + 1, and x is mounted and not fenced */
inline eval_op(s, x, n)
{
	if
	:: (fenced[s + 1] & (1 << x)) -> skip			/* void */
#ifdef HIGH_WATER_SET
	:: !(fenced[s + 1] & (1 << x)) && n <= LAST(s + 1, x) -> skip
#else
	:: !(fenced[s + 1] & (1 << x)) && n != LAST(s + 1, x) + 1 -> skip	/* done before, or ahead: x sends it again */
#endif
	:: else ->
		LAST(s + 1, x) = n;
		op_done = op_done | BIT(x, n);
		if
		:: kind[OP(x, n)] > FENCE -> fenced[s + 1] = fenced[s + 1] | (1 << (kind[OP(x, n)] - FENCE))
		:: else ->
			printf("slot %d: operation %d of %d, intention %d\n", s, n, x, kind[OP(x, n)]);
			assert(!(intent_done & (1 << kind[OP(x, n)])));	/* nothing is applied twice */
			intent_done = intent_done | (1 << kind[OP(x, n)])
		fi
	fi;
	skip
}

/* apply(rec): the author's operations in order, then the copies in order */
inline apply(s)
{
	x = 1;
	do
	:: x <= NINC -> LAST(s + 1, x) = LAST(s, x); x++
	:: else -> break
	od;
	fenced[s + 1] = fenced[s];
	m2 = 0;						/* 0: the author; then everybody else */
	do
	:: m2 <= NINC ->
		x = (m2 == 0 -> INC(chosen[s]) : m2);
		if
		:: m2 == 0 || x != INC(chosen[s]) ->
			if
			:: OPS_OF(chosen[s], s) & BIT(x, 1) -> eval_op(s, x, 1)
			:: else -> skip
			fi;
			if
			:: OPS_OF(chosen[s], s) & BIT(x, 2) -> eval_op(s, x, 2)
			:: else -> skip
			fi
		:: else -> skip
		fi;
		m2++
	:: else -> break
	od;
	skip
}
#endif

/* ---- a store ------------------------------------------------------------------------------------------------------ */

/* chain(t, s): GET s.0, s.1, ... until "no such object"; n = number of links */
inline chain(t, s)
{
	n = 0;
	do
	:: n < NLINK && promised[L(t, s, n)] -> n++
	:: else -> break
	od;
	skip
}

/* c = stores with a link in slot s that carries accept (b, r); any: under whatever ballot */
inline count(s, b, r, any)
{
	c = 0;
	t2 = 0;
	do
	:: t2 < NST ->
		k2 = 0;
		do
		:: k2 < NLINK && acc_record[L(t2, s, k2)] == r && (any || acc_ballot[L(t2, s, k2)] == b) -> c++; break
		:: k2 < NLINK && !(acc_record[L(t2, s, k2)] == r && (any || acc_ballot[L(t2, s, k2)] == b)) -> k2++
		:: else -> break
		od;
		t2++
	:: else -> break
	od;
	skip
}

/* The truth: the same (ballot, record) stands in links at a majority */
inline judge(s, b, r)
{
	count(s, b, r, false);
	if
	:: c >= MAJ && !chosen[s] ->
		assert(s == 0 || chosen[s - 1]);	/* no holes */
		printf("slot %d: record %d is chosen by ballot %d\n", s, r, b);
		chosen[s] = r;
#if defined(PLANTED) || defined(DECIDED_LINKS)
		chosen_ballot[s] = b;
#endif
#ifdef OPS
		apply(s)
#endif
	:: c >= MAJ && chosen[s] -> assert(chosen[s] == r)	/* agreement */
	:: else -> skip
	fi;
	skip
}

/* the store creates link k of slot s, a name that it knows to be free: {p, (b, r)} */
inline put(t, s, k, p, b, r)
{
#ifndef PLANTED
	assert(k == 0 || promised[L(t, s, k - 1)]);
	assert(ROUND(p) || (k == 0 && b == p && INC(p) == OWNER(s)));
#endif
	printf("store %d: %d.%d = promised %d, accepted %d:%d\n", t, s, k, p, b, r);
	promised[L(t, s, k)] = p;
	acc_ballot[L(t, s, k)] = b;
	acc_record[L(t, s, k)] = r;
	if
	:: b -> judge(s, b, r)
	:: else -> skip
	fi;
	drop_late()
}

#if NLATE
/* a late request for a name that exists can do nothing any more */
inline drop_late()
{
	i = 0;
	do
	:: i < NLATE && late[i] && promised[LATE_LINK(late[i])] -> late[i] = 0; i++
	:: i < NLATE && !(late[i] && promised[LATE_LINK(late[i])]) -> i++
	:: else -> break
	od;
	sort_late()
}

inline sort_late()
{
	i = 0;
	do
	:: i + 1 < NLATE ->
		x = 0;
		do
		:: x + 1 < NLATE - i ->
			if
			:: late[x] < late[x + 1] -> w = late[x]; late[x] = late[x + 1]; late[x + 1] = w
			:: else -> skip
			fi;
			x++
		:: else -> break
		od;
		i++
	:: else -> break
	od;
	skip
}
#else
inline drop_late() { skip }
#endif

/* ---- equal states look equal: reductions, no part of the protocol ------------------------------------------------- */
#define CHAINS	(NSLOT * NLINK)
#if !defined(FORGET_BALLOTS) && !defined(REUSE_0) && !defined(DECIDED_LINKS) && !defined(READER) && \
    (!RESTARTS || defined(HURRY))
#define SWEEP					/* nobody looks at a slot again that all have learned */
#endif

#define SWEPT	15
#define FORGOTTEN(r, s)	(chosen[s] && (chosen[s] != (r) || ((s) + 1 < NSLOT && passed[(s) + 1] == SWEPT)))
#define SAME(a, b, q)	(promised[(a) * CHAINS + (q)] == promised[(b) * CHAINS + (q)] && \
			 acc_ballot[(a) * CHAINS + (q)] == acc_ballot[(b) * CHAINS + (q)] && \
			 acc_record[(a) * CHAINS + (q)] == acc_record[(b) * CHAINS + (q)])
#define SAME_REQ(a, b, q) (req[(a) * NMOUNT + (q)] == req[(b) * NMOUNT + (q)] && ans[(a) * NMOUNT + (q)] == ans[(b) * NMOUNT + (q)])
#define RANK(t, q)	(promised[(t) * CHAINS + (q)] * 256 + acc_ballot[(t) * CHAINS + (q)] * 8 + acc_record[(t) * CHAINS + (q)])
#define RANK_REQ(t, q)	(req[(t) * NMOUNT + (q)] * 4 + ans[(t) * NMOUNT + (q)])
#define SWAP(x, y)	w = x; x = y; y = w

/* stores are interchangeable: a before b if what is in it is more */
inline order(a, b)
{
	i = 0;
	do
	:: i < CHAINS && SAME(a, b, i) -> i++
	:: else -> break
	od;
	x = 0;
	do
	:: i == CHAINS && x < NMOUNT && SAME_REQ(a, b, x) -> x++
	:: else -> break
	od;
	if
	:: (i < CHAINS && RANK(a, i) < RANK(b, i)) || (i == CHAINS && x < NMOUNT && RANK_REQ(a, x) < RANK_REQ(b, x)) ->
		do
		:: i < CHAINS ->
			SWAP(promised[(a) * CHAINS + i], promised[(b) * CHAINS + i]);
			SWAP(acc_ballot[(a) * CHAINS + i], acc_ballot[(b) * CHAINS + i]);
			SWAP(acc_record[(a) * CHAINS + i], acc_record[(b) * CHAINS + i]);
			i++
		:: else -> break
		od;
		x = 0;
		do
		:: x < NMOUNT ->
			SWAP(req[(a) * NMOUNT + x], req[(b) * NMOUNT + x]);
			SWAP(ans[(a) * NMOUNT + x], ans[(b) * NMOUNT + x]);
#ifdef BLIND
			SWAP(seen[(a) * NMOUNT + x], seen[(b) * NMOUNT + x]);
#endif
			x++
		:: else -> break
		od;
#if NLATE
		x = 0;
		do
		:: x < NLATE && late[x] && ((late[x] - 1) & 3) == (a) -> late[x] = late[x] - (a) + (b); x++
		:: x < NLATE && late[x] && ((late[x] - 1) & 3) == (b) -> late[x] = late[x] - (b) + (a); x++
		:: x < NLATE && (!late[x] || (((late[x] - 1) & 3) != (a) && ((late[x] - 1) & 3) != (b))) -> x++
		:: else -> break
		od;
#endif
		skip
	:: else -> skip
	fi
}

inline tidy()
{
#ifdef SWEEP
	x = 0;
	do
	:: x < NSLOT && passed[x] == NMOUNT ->
		c = 0;						/* a late request for it? */
		i = 0;
#if NLATE
		do
		:: i < NLATE ->
#ifdef HURRY
			late[i] = (late[i] && LATE_SLOT(late[i]) == x -> 0 : late[i]);
#endif
			c = (late[i] && LATE_SLOT(late[i]) == x -> 1 : c);
			i++
		:: else -> break
		od;
		i = 0;
#endif
		do
		:: !c && i < NST * NLINK ->
			promised[L(i / NLINK, x, i % NLINK)] = 0;
			acc_ballot[L(i / NLINK, x, i % NLINK)] = 0;
			acc_record[L(i / NLINK, x, i % NLINK)] = 0;
			i++
		:: else -> break
		od;
		passed[x] = (c -> NMOUNT : SWEPT);
		x++
	:: x < NSLOT && passed[x] != NMOUNT -> x++
	:: else -> break
	od;
	x = 0;
	do
	:: x + 1 < NSLOT && passed[x] == SWEPT && passed[x + 1] == SWEPT && chosen[x] != R(1, 0) ->
		chosen[x] = R(1, 0);				/* nobody asks for the next one's owner either */
		x++
	:: x + 1 < NSLOT && !(passed[x] == SWEPT && passed[x + 1] == SWEPT && chosen[x] != R(1, 0)) -> x++
	:: else -> break
	od;
	i = 0;
	do
	:: i < NREC * NSLOT ->
		next_owner[i] = (FORGOTTEN(i / NSLOT, i % NSLOT) -> 0 : next_owner[i]);
#ifdef OPS
		ops[i] = (FORGOTTEN(i / NSLOT, i % NSLOT) -> 0 : ops[i]);
#endif
		i++
	:: else -> break
	od;
#endif
#ifndef NOSORT
	order(0, 1);
	order(1, 2);
	order(0, 1);
#endif
#if NLATE
	sort_late();
#endif
	skip
}

#if NLATE
/* any time later, or never */
active proctype network()
{
	byte j = 0;
end:	do
	:: atomic {
		late[0] ->
		do
		:: j + 1 < NLATE && late[j + 1] -> j++
		:: break
		od;
		d_step {
			printf("a late request arrives\n");
			w = late[j] - 1;
			j = 0;
			wt = w & 3;
			ws = (w / 4) & 3;
			wk = (w / 16) & 15;
			wp = (w / 256) & 31;
			wb = (w / 8192) & 31;
			wr = (w / 262144) & 7;
			put(wt, ws, wk, wp, wb, wr);
			tidy()
		}
	   }
	od;
	skip
}
#endif

/* ---- a mount ------------------------------------------------------------------------------------------------------ */
#define REST	0			/* between two steps of its loop */
#define FAST	1			/* fast(s): s.0 on its way to all stores */
#define PREPARE	2			/* two_phase(s), promises */
#define ACCEPT	3			/* two_phase(s), accepts */

#define SENT	1			/* create() on its way; the same bytes again until an answer is known */
#define MINE	2
#define REFUSED	3			/* this store does not help in this step */

#ifdef OWNER_BY_BALLOT
#define OWNED	(OWNER(s) == inc || won)
#else
#define OWNED	(OWNER(s) == inc)
#endif
#ifdef PLANTED
#define ME	R(inc, variant)
#else
#define ME	R(inc, 0)
#endif

#ifdef HURRY
/*
 * Slot by slot: as soon as one has learned s, the others only learn it, and then all go on. What somebody who stays behind could
 * still do concerns the links of slot s alone, which slot s + 1 never reads; runs of one slot, and of two without HURRY, try that.
 */
#define MAY	((s + 1 >= NSLOT || !passed[s]) && (s == 0 || passed[s - 1] >= NMOUNT))
#else
#define MAY	true
#endif

#ifdef BLIND
#define READ(t)	SEEN(t)			/* bug: links read, which may be fewer than there are below k */
#else
#define READ(t)	K(t)
#endif

/* the object of this step's request to store t */
inline bytes(t)
{
	wp = bal;
	wb = bal;
	wr = val;
	if
#ifdef PROMISE_FORGETS
	:: ph == PREPARE -> wb = 0; wr = 0		/* bug: only the promise */
#endif
	:: ph == PREPARE && READ(t) ->			/* the accepted pair is copied from the link that was read */
		wb = acc_ballot[L(t, s, READ(t) - 1)];
		wr = acc_record[L(t, s, READ(t) - 1)]
	:: ph == PREPARE && !READ(t) -> wb = 0; wr = 0
	:: else -> skip
	fi;
	skip
}

/* read the chain of store t to its top and prepare this step's request: the Guard */
inline aim(t)
{
	chain(t, s);
	K(t) = n;
#ifdef BLIND
	SEEN(t) = n;
#endif
	if
	:: n == NLINK -> ST(t) = REFUSED; K(t) = 0	/* the end of the model, or decided */
	:: n < NLINK && n && (promised[L(t, s, n - 1)] > bal || (ph == PREPARE && promised[L(t, s, n - 1)] == bal)) ->
		ST(t) = REFUSED; K(t) = 0
	:: else -> ST(t) = SENT
	fi;
	skip
}

inline mine(t)
{
	ST(t) = MINE;
	K(t) = (ph == PREPARE -> K(t) : 0)
}

/* create(t, s.k, bytes): the store's answer arrives, to the first try or to a later one with the same bytes */
inline answer(t)
{
	bytes(t);
	if
	:: !promised[L(t, s, K(t))] -> put(t, s, K(t), wp, wb, wr); mine(t)
#ifdef COMPARE_BY_AUTHOR
	:: promised[L(t, s, K(t))] && INC(promised[L(t, s, K(t))]) == inc && promised[L(t, s, K(t))] != DECIDED -> mine(t)
#else
	:: promised[L(t, s, K(t))] == wp && acc_ballot[L(t, s, K(t))] == wb && acc_record[L(t, s, K(t))] == wr ->
		mine(t)					/* exists, and these very bytes: an earlier try had arrived */
#endif
	:: else ->					/* other: the state moved */
		if
		:: ph == FAST -> ST(t) = REFUSED
#ifdef BLIND
		:: ph != FAST && K(t) + 1 < NLINK -> K(t)++	/* bug: the next name, without reading this one */
		:: ph != FAST && K(t) + 1 == NLINK -> ST(t) = REFUSED
#else
		:: else -> aim(t)
#endif
		fi
	fi;
	skip
}

#define MINES	((ST(0) == MINE) + (ST(1) == MINE) + (ST(2) == MINE))

/* stop waiting: what is unanswered may have been applied, may be applied later, or never */
inline abandon()
{
#if NLATE
	j = 0;
	do
	:: j < NST ->
		if
		:: ST(j) == SENT && MAY && !late[NLATE - 1] && !promised[L(j, s, K(j))] ->
			d_step {
				bytes(j);
				late[NLATE - 1] = PACK(j, s, K(j), wp, wb, wr);
				sort_late()
			}
		:: skip
		fi;
		j++
	:: else -> break
	od;
	j = 0
#else
	skip
#endif
}

inline rest()
{
	ph = REST;
	bal = 0;
	val = 0;
	t2 = 0;
	do
	:: t2 < NST ->
		K(t2) = 0;
		ST(t2) = 0;
#ifdef BLIND
		SEEN(t2) = 0;
#endif
		t2++
	:: else -> break
	od;
	skip
}

/* compose(s): the frozen record, else a new one */
inline compose()
{
	if
	:: frozen -> skip
	:: else ->
		frozen = true;
		if
		:: s + 1 == NSLOT -> skip		/* no matter */
		:: s + 1 < NSLOT -> NEXT(ME, s) = 1
		:: s + 1 < NSLOT && fresh > 2 -> NEXT(ME, s) = 2
		:: s + 1 < NSLOT && fresh > 3 -> NEXT(ME, s) = 3
		fi;
#ifdef OPS
		compose_ops()
#endif
		skip
	fi;
	skip
}

#ifdef OPS
/* own operations in order; copies of anything seen in a lane: more careless than the rule ("contiguous"), eval must cope */
inline compose_ops()
{
#ifdef RESUBMIT_WITHOUT_FENCE
	if
	:: inc > NMOUNT && !kind[OP(inc, 1)] && LAST(s, 1) < 1 -> kind[OP(inc, 1)] = kind[OP(1, 1)]
	:: else -> skip
	fi;
#endif
	OPS_OF(ME, s) = 0;
	j = OP(1, 1);
	do
	:: j <= OP(NINC, NOP) ->
		if
		:: kind[j] && LAST(s, j / NOP) <= j % NOP &&
		   (j / NOP != inc || LAST(s, inc) == j % NOP || (OPS_OF(ME, s) & (1 << (j - 1)))) ->
			OPS_OF(ME, s) = OPS_OF(ME, s) | (1 << j)
		:: skip
		fi;
		j++
	:: else -> break
	od;
	j = 0
}
#endif

/* learned(r): the slot is known, its record applied, the next one begins */
inline learned(rec, ballot)
{
	printf("incarnation %d: slot %d holds record %d\n", inc, s, rec);
	assert(rec == chosen[s]);
#ifdef OWNER_BY_BALLOT
	won = (INC(ballot) == inc);
#endif
#ifdef LOST_BY_BALLOT
	if
	:: frozen && rec == ME && INC(ballot) != inc && (OPS_OF(ME, s) & BIT(inc, 1)) && !kind[OP(inc, 2)] ->
		kind[OP(inc, 2)] = kind[OP(inc, 1)]	/* bug: "lost", so it is submitted again */
	:: else -> skip
	fi;
#endif
	frozen = false;
	round = 0;			/* of any use only within a slot; so all rounds are tried in each */
	passed[s]++;
	s++;
#ifdef SWEEP
	slot0 = (slot0 > s -> slot0 : 0);	/* the same, as s only grows */
#endif
	rest();
#ifdef OPS
	assert(LAST(s, inc) < 1 || (op_done & BIT(inc, 1)));	/* what is acknowledged now has been applied */
	assert(LAST(s, inc) < 2 || (op_done & BIT(inc, 2)));
#ifndef RESUBMIT_WITHOUT_FENCE
	if		/* restart of 1: FENCE 1 is applied; what is above last[1] is submitted under one's own numbers */
	:: inc > NMOUNT && LAST(s, inc) == 1 && LAST(s, 1) < 1 && !kind[OP(inc, 2)] -> kind[OP(inc, 2)] = kind[OP(1, 1)]
	:: else -> skip
	fi
#endif
#endif
	skip
}

/* learn(s): all chains to their tops, and s + 1; r = 0: undetermined, or nothing. Reading fewer stores shows less, never more */
inline learn()
{
	r = 0;
	i = 0;
	m2 = 0;
	do
	:: m2 < NST * NLINK && !r ->
		i = L(m2 / NLINK, s, m2 % NLINK);
		if
		:: promised[i] == DECIDED -> r = acc_record[i]; rb = acc_ballot[i]
		:: promised[i] != DECIDED && acc_record[i] ->
#ifdef COUNT_ANY
			count(s, acc_ballot[i], acc_record[i], true);
#else
			count(s, acc_ballot[i], acc_record[i], false);
#endif
			if
			:: c >= MAJ -> r = acc_record[i]; rb = acc_ballot[i]
			:: else -> skip
			fi
		:: else -> skip
		fi;
		m2++
	:: else -> break
	od;
	if	/* named by any link at s + 1: whoever wrote it had learned s */
	:: !r && s + 1 < NSLOT && (promised[L(0, s + 1, 0)] || promised[L(1, s + 1, 0)] || promised[L(2, s + 1, 0)]) ->
		r = chosen[s];
		rb = CHOSEN_BALLOT(s)
	:: else -> skip
	fi;
	if
	:: r -> learned(r, rb)
	:: else -> skip
	fi;
	r = 0
}

proctype mount(byte me)
{
	byte inc = me;			/* this incarnation */
	byte s;				/* the slot after the last one learned */
	byte slot0;			/* ballot 0 was used in all slots below: never again there */
	byte round, bal, val, ph;
	bool frozen;			/* this incarnation has composed its record for s: ME */
	byte j;
#if defined(PLANTED)
	bit variant;			/* a bug made it compose a second record */
#endif
#ifdef OWNER_BY_BALLOT
	bool won;
#endif

end:	do
	/* learn(s) */
	:: d_step { ph == REST && s < NSLOT -> learn(); tidy() }

	/* fast(s) */
	:: atomic {
		ph == REST && s < NSLOT && MAY && OWNED && s >= slot0 ->
		compose();
		d_step {
			printf("incarnation %d: fast(%d), record %d\n", inc, s, ME);
			slot0 = s + 1;
			ph = FAST;
			bal = B(0, inc);
			val = ME;
			ST(0) = SENT; ST(1) = SENT; ST(2) = SENT;
			tidy()
		}
	   }

	/* two_phase(s): anybody, owner or not, with operations or without. One round more is all rounds, as it may be repeated */
	:: d_step {
		ph == REST && s < NSLOT && MAY && round < NROUND ->
		round++;
		ph = PREPARE;
		bal = B(round, inc);
		printf("incarnation %d: two_phase(%d), ballot %d\n", inc, s, bal);
		aim(0); aim(1); aim(2);
		tidy()
	   }

	/* an answer, in any order */
	:: atomic {
		MAY && (ST(0) == SENT || ST(1) == SENT || ST(2) == SENT) ->
		if
		:: ST(0) == SENT -> j = 0
		:: ST(1) == SENT -> j = 1
		:: ST(2) == SENT -> j = 2
		fi;
		d_step { answer(j); j = 0; tidy() }
	   }

#ifdef LOST_ANSWERS
	/* the request arrives, its answer does not; the mount goes on sending the same bytes */
	:: atomic {
		MAY && (ST(0) == SENT || ST(1) == SENT || ST(2) == SENT) ->
		if
		:: ST(0) == SENT -> j = 0
		:: ST(1) == SENT -> j = 1
		:: ST(2) == SENT -> j = 2
		fi;
		d_step {
			if
			:: !promised[L(j, s, K(j))] -> bytes(j); put(j, s, K(j), wp, wb, wr)
			:: else -> skip
			fi;
			j = 0;
			tidy()
		}
	   }
#endif

	/* a majority promised: choose the value */
	:: atomic {
		ph == PREPARE && MAY && MINES >= MAJ ->
		abandon();
		d_step {
			m2 = 0;
			i = 0;			/* highest accepted ballot so far */
			do
			:: m2 < NST ->
				if
				:: ST(m2) == MINE ->
					bytes(m2);
					if
#ifdef ANY_VALUE
					:: wb && (!i || wb < i) -> i = wb; val = wr
#else
					:: wb > i -> i = wb; val = wr
#endif
					:: else -> skip
					fi
				:: else -> skip
				fi;
				m2++
			:: else -> break
			od;
			skip
		}
		if
		:: val -> skip
		:: else -> compose(); val = ME
		fi;
		d_step {
			printf("incarnation %d: accept(%d), ballot %d, record %d\n", inc, s, bal, val);
			ph = ACCEPT;
			m2 = 0;
			do
			:: m2 < NST ->
				if
				:: ST(m2) == MINE && K(m2) + 1 < NLINK -> ST(m2) = SENT; K(m2)++
				:: ST(m2) == MINE && K(m2) + 1 == NLINK -> ST(m2) = REFUSED; K(m2) = 0
				:: else -> aim(m2)
				fi;
				m2++
			:: else -> break
			od;
			tidy()
		}
	   }

	/* a majority accepted: chosen(v), acknowledged */
	:: atomic {
		(ph == FAST || ph == ACCEPT) && MAY && MINES >= MAJ ->
		abandon();
		d_step { learned(val, bal); tidy() }
	   }

	/* time, or a majority refused; also: answers lost on their way. (An owner then goes on with two_phase) */
	:: atomic {
		ph != REST ->
		abandon();
		d_step {
			printf("incarnation %d: waits no longer\n", inc);
#ifdef UNKNOWN_IS_FAILURE
			if
			:: ph == FAST && MINES == 0 && !variant -> variant = 1; frozen = false; slot0 = s	/* "nothing was written" */
			:: else -> skip
			fi;
#endif
			rest();
			tidy()
		}
	   }

#ifdef DECIDED_LINKS
	/* a present for a store that missed the slot before */
	:: atomic {
		ph == REST && s > 0 ->
		if
		:: j = 0
		:: j = 1
		:: j = 2
		fi;
		d_step {
			chain(j, s - 1);
			if
			:: n < NLINK && (n == 0 || promised[L(j, s - 1, n - 1)] != DECIDED) ->
				put(j, s - 1, n, DECIDED, CHOSEN_BALLOT(s - 1), chosen[s - 1])
			:: else -> skip
			fi;
			j = 0;
			tidy()
		}
	   }
#endif

#ifdef FORGET_BALLOTS
	/* bug: a checkpoint behind one's own state is loaded, and with it the memory of what was proposed is gone */
	:: d_step {
		ph == REST && s > 0 && !variant ->
		printf("incarnation %d: back to slot 0\n", inc);
		variant = 1; s = 0; slot0 = 0; round = 0; frozen = false
	   }
#endif

#if RESTARTS
	/* killed at any moment and started again, with an empty memory */
	:: atomic {
#ifdef REUSE_0
		inc == 1 && !variant ->
		abandon();
		d_step {
			variant = 1;
#else
		(inc == 1 || inc > NMOUNT) && fresh <= NINC ->
		abandon();
		d_step {
			inc = fresh;
			fresh++;
#ifdef OPS
#ifndef RESUBMIT_WITHOUT_FENCE
			kind[OP(inc, 1)] = FENCE + 1;
#endif
#endif
#endif
#ifndef SWEEP
			s = 0;			/* else: from a checkpoint at the tip, which HURRY makes the same */
#endif
			slot0 = 0; round = 0; frozen = false;
			printf("mount %d starts again as incarnation %d\n", me, inc);
			rest();
			tidy()
		}
	   }
#endif
	od;
	skip
}

#ifdef READER
/* a mount that writes nothing asks a slot, chain by chain. Stores are interchangeable: the two that answer first are 0 and 1 */
inline ask(t)
{
	chain(t, slot);
#ifdef LINK_0
	n = (n > 1 -> 1 : n);
#endif
	silent = (n == 0 || !acc_record[L(t, slot, n - 1)])
}

proctype reader()
{
	byte slot = 0;
	bool was, silent;
end:	do
	:: slot + 1 < NSLOT -> slot++
	:: d_step {				/* the asking begins with the first answer */
		was = (chosen[slot] != 0);
		ask(0);
	   };
	   if
	   :: silent && was -> 
#ifndef ONE_STORE
		d_step { ask(1) };
#endif
		assert(!silent);		/* else: "nothing had been chosen when I began" */
		break
	   :: else -> was = false; silent = false
	   fi
	od;
	skip
}
#endif

init
{
	atomic {
#ifdef OPS
		kind[OP(1, 1)] = 1;
		kind[OP(2, 1)] = 2;
#ifdef TWO_OPS
		kind[OP(1, 2)] = 3;
#endif
#if NMOUNT > 2
		kind[OP(3, 1)] = 4;
#endif
#endif
		run mount(1);
#if NMOUNT > 1
		run mount(2);
#endif
#if NMOUNT > 2
		run mount(3);
#endif
#ifdef READER
		run reader();
#endif
		skip
	}
}
