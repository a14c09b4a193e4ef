/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations happen once, whatever is killed, copied and submitted again: the replicated state above an agreed log.
 *
 * The log is one here: in each slot one of the records composed for it is chosen (journal.pml shows that the stores achieve
 * this). A client of a machine has two intentions. The machine's first incarnation numbers them 2 and 3 behind its MOUNT; it may
 * be killed, at any moment and more than once, and its successors bring in what is not applied. Another mount copies what it finds
 * in lanes into its records, at any time, in any selection. A killed incarnation's record may still be chosen.
 *
 * Asserted: no intention is applied twice (eval); what is acknowledged has been applied (follow).
 */
#ifndef NSLOT
#define NSLOT	5
#endif
#ifndef NINC
#define NINC	3			/* incarnations of the machine: RESTARTS + 1 */
#endif
#define NOP	4			/* numbers per incarnation */
#define NINTENT	2
#define COPIER	0			/* the other mount: it has no operations of its own */

#define UNSET	0
#define MOUNTED	1
#define FENCED	2

/* what operation n of incarnation x is: MOUNT, FENCE + y, or an intention 1 .. NINTENT; a number keeps its bytes for ever */
#define MOUNT	3
#define FENCE	4
byte kind[(NINC + 1) * (NOP + 1)];
#define KIND(x, n)	kind[(x) * (NOP + 1) + (n)]
byte submitted[NINC + 1];		/* how many numbers are in use, and in the lane */

/* the replicated state */
byte tip;				/* the slot that is next */
byte status[NINC + 1], last[NINC + 1];
byte applied;				/* truth: the intentions that took effect, a set */

int record;				/* the one being composed, a set of operations */
#define BIT(x, n)	(1 << (((x) - 1) * NOP + (n)))

/* the machine's disk: under whose numbers the intentions that are not known to be applied were last submitted */
byte disk_holder = 1;
byte disk_number[NINTENT + 1];		/* 0: done with */
byte fresh = 1;				/* the next incarnation that is drawn */

hidden byte x, n, i;

/* eval(op n of x) */
inline eval_op(x, n)
{
	if
#ifdef MOUNT_AGAIN
	:: KIND(x, n) == MOUNT -> status[x] = MOUNTED; last[x] = n	/* bug: whatever was before */
#else
	:: KIND(x, n) == MOUNT && status[x] == UNSET -> status[x] = MOUNTED; last[x] = n
	:: KIND(x, n) == MOUNT && status[x] != UNSET -> skip
#endif
	:: KIND(x, n) != MOUNT && status[x] != MOUNTED -> skip
#ifdef HIGH_WATER_SET
	:: KIND(x, n) != MOUNT && status[x] == MOUNTED && n <= last[x] -> skip
#else
	:: KIND(x, n) != MOUNT && status[x] == MOUNTED && n != last[x] + 1 -> skip
#endif
	:: else ->
		last[x] = n;
		if
#ifdef FENCE_MOUNTED_ONLY
		:: KIND(x, n) > FENCE && status[KIND(x, n) - FENCE] == UNSET -> skip	/* bug: nothing there to fence */
#endif
		:: KIND(x, n) > FENCE -> status[KIND(x, n) - FENCE] = FENCED
		:: KIND(x, n) <= NINTENT ->
			printf("slot %d: operation %d of %d, intention %d\n", tip, n, x, KIND(x, n));
			assert(!(applied & (1 << KIND(x, n))));
			applied = applied | (1 << KIND(x, n))
		fi
	fi
}

/* operations of x in the record, in order */
inline apply_ops(x)
{
	n = 1;
	do
	:: n <= NOP ->
		if
		:: record & BIT(x, n) -> eval_op(x, n)
		:: else -> skip
		fi;
		n++
	:: else -> break
	od
}

/*
 * A record is chosen: of the copier or of any incarnation, killed or not, with any selection of what is in the lanes (more careless
 * than the rule; eval must cope). It is composed at the moment when it is chosen, as all that could be in it stays in the lanes.
 */
active proctype log()
{
	byte j, author;

end:	do
	:: atomic {
		tip < NSLOT ->
		j = 1;
		do
		:: j <= NINC * NOP && (j - 1) % NOP >= submitted[(j - 1) / NOP + 1] -> j++
		:: j <= NINC * NOP && (j - 1) % NOP < submitted[(j - 1) / NOP + 1] ->
			if
			:: record = record | (1 << j)
			:: skip
			fi;
			j++
		:: else -> break
		od;
		j = 0;
		do
		:: author + 1 < fresh -> author++
		:: break
		od;
		d_step {		/* apply(rec): the author's operations in order, then the copies in order */
			if
			:: author != COPIER -> apply_ops(author)
			:: else -> skip
			fi;
			x = 1;
			do
			:: x < fresh ->
				if
				:: x != author -> apply_ops(x)
				:: else -> skip
				fi;
				x++
			:: else -> break
			od;
			record = 0;
			author = 0;
			tip++
		}
	   }
	od
}

/* a new incarnation: its first operation is MOUNT, and the next a FENCE of whoever submitted last for this client */
inline begin()
{
	inc = fresh;
	fresh++;
	printf("incarnation %d starts; before it %d\n", inc, holder);
	KIND(inc, 1) = MOUNT;
	submitted[inc] = 1;
	if
	:: inc == 1 ->
		KIND(1, 2) = 1; number[1] = 2;
		KIND(1, 3) = 2; number[2] = 3;
		submitted[1] = 3;
		holder = 1;
		disk_number[1] = 2;
		disk_number[2] = 3
#ifndef RESUBMIT_WITHOUT_FENCE
	:: inc > 1 -> KIND(inc, 2) = FENCE + holder; submitted[inc] = 2
#endif
	:: else -> skip
	fi
}

#ifdef RESUBMIT_WITHOUT_FENCE
#define FENCE_APPLIED	true
#else
#define FENCE_APPLIED	(last[inc] >= 2)
#endif
#ifdef TWO_HEIRS
#define HAS_DISK	true		/* bug: who was replaced still has them in memory, and uses them */
#else
#define HAS_DISK	(!replaced)	/* one process at a time may open the log on the disk */
#endif

/*
 * What is not above last[holder] is answered from its recorded results. What is above never was and never will be applied, and is
 * submitted under new numbers: first on disk, then in the lane.
 */
inline take_over()
{
	i = 1;
	do
	:: i <= NINTENT && number[i] && number[i] <= last[holder] ->
		assert(applied & (1 << i));
		number[i] = 0;
		i++
	:: i <= NINTENT && number[i] > last[holder] ->
		submitted[inc]++;
		printf("incarnation %d: intention %d is number %d\n", inc, i, submitted[inc]);
		KIND(inc, submitted[inc]) = i;
		number[i] = submitted[inc];
		i++
	:: i <= NINTENT && !number[i] -> i++
	:: else -> break
	od;
	holder = inc;
#ifndef FORGET_HEIR
	disk_holder = holder;
	disk_number[1] = number[1];
	disk_number[2] = number[2];
#endif
	skip
}

/* to the end of the log, in one step, at any time */
inline follow()
{
	printf("incarnation %d: slot %d, last %d\n", inc, tip, last[inc]);
	i = 1;
	do
	:: i <= last[inc] ->
		assert(KIND(inc, i) > NINTENT || (applied & (1 << KIND(inc, i))));	/* acknowledged to the client */
		i++
	:: else -> break
	od;
	if
	:: holder != inc && HAS_DISK && FENCE_APPLIED -> take_over()
	:: else -> skip
	fi
}

proctype machine()
{
	byte inc;
	byte holder, number[NINTENT + 1];	/* in memory */
	bool replaced;

	d_step { holder = disk_holder; number[1] = disk_number[1]; number[2] = disk_number[2]; begin() };
end:	do
	:: d_step { !replaced || status[inc] != FENCED -> follow() }
	:: atomic {
		fresh <= NINC && !replaced ->
#ifdef ZOMBIE
		replaced = true;		/* only paused, and taken for dead */
		run machine()
#else
		d_step {
			holder = disk_holder;
			number[1] = disk_number[1];
			number[2] = disk_number[2];
			begin()
		}
#endif
	   }
#ifdef TWO_HEIRS
	/* fenced but alive it starts anew, while a successor has the same intentions from the disk */
	:: d_step { replaced && status[inc] == FENCED && fresh <= NINC -> begin(); replaced = false }
#endif
	od
}

init
{
	run machine()
}
