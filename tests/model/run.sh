#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Checks the Spin models of the journal: the correct rules have no error, every planted bug is found.
#   tests/model/run.sh              about three minutes on two cores
#   tests/model/run.sh --full       the bigger configurations as well: half an hour, up to 3 GB each
#   tests/model/run.sh --show BUG   the counterexample of a planted bug, step by step
# time limit: 1800 s
set -u

here=$(cd "$(dirname "$0")" && pwd)
mode=${1-quick}
shown=${2-}
jobs=2
limit_s=1500 # for one configuration; the machine may be busy

if ! command -v spin >/dev/null || ! command -v gcc >/dev/null; then
	echo "skip - model: spin is not installed"
	exit 77
fi
tmp=$(mktemp -d)
# shellcheck disable=SC2317,SC2329 # called by the trap
clean_up()
{
	local left
	left=$(jobs -p)
	# shellcheck disable=SC2086
	[ -z "$left" ] || kill $left 2>/dev/null
	wait
	rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# build KIND DIR MODEL MACROS...: how the states that were visited are remembered
build()
{
	local kind=$1 dir=$2 model=$3 memory
	shift 3
	case $kind in
	exact | planted) memory="-DCOLLAPSE" ;; # each state
	hashed) memory="-DHC4" ;;               # 64 bits of each: a state is overlooked once in about 10^4 runs
	bits) memory="-DBITSTATE" ;;            # three bits of each
	shortest) memory="-DBFS" ;;
	esac
	mkdir -p "$dir" && cd "$dir" || return 1
	spin -a "$@" "$here/$model.pml" >build.log 2>&1 &&
		gcc -O2 -w -DSAFETY "$memory" -DMEMLIM=3000 -o pan pan.c >>build.log 2>&1
}

# check KIND NAME MODEL MACROS...: prints one line
check()
{
	local kind=$1 name=$2 model=$3 dir errors states begin=$SECONDS options=-m1000000
	shift 3
	dir=$(mktemp -d "$tmp/XXXXXX")
	if ! build "$kind" "$dir" "$model" "$@"; then
		echo "not ok - $name: does not build: $(tail -1 "$dir/build.log")"
		return
	fi
	[ "$kind" = bits ] && options="-m1000000 -w33 -k3"
	# shellcheck disable=SC2086
	timeout "$limit_s" nice -n 15 ./pan -E $options >pan.log 2>&1 &
	trap "kill $! 2>/dev/null" TERM
	wait $!
	errors=$(grep -oE 'errors: [0-9]+' pan.log | cut -d' ' -f2)
	states="$(awk '/states, stored/ { print $1; exit }' pan.log) states, $((SECONDS - begin)) s"
	if [ "$kind" = planted ]; then
		if grep -q 'assertion violated' pan.log; then
			echo "ok - planted $name found ($states)"
		else
			echo "not ok - planted $name was not found (${states})"
		fi
	elif [ "${errors:-1}" != 0 ]; then
		echo "not ok - model $name: $(grep -m1 -E 'assertion violated|error:' pan.log || echo "not finished in $limit_s s")"
	elif grep -qE 'max search depth too small|Search not completed|out of memory' pan.log; then
		echo "not ok - model $name: not all states visited ($states)"
	elif [ "$kind" = bits ]; then
		echo "ok - model $name ($states, hash factor $(grep -oE 'hash factor: [0-9.]+' pan.log | cut -d' ' -f3))"
	else
		echo "ok - model $name ($states)"
	fi
	rm -rf "$dir"
}

# A sleeper that follows slowly has to pass two slots.
floor_2="-DSLEEPERS=1 -DNSLOT=2 -DCREATORS=0 -DRETENTION=1 -DSKEW=0"

# configurations RUN: calls RUN KIND NAME MODEL MACROS... for each
configurations()
{
	local run=$1

	# One slot: everything that a mount can do in it. `OWNER_0=2`: the owner is the one whose ballots are the higher.
	$run exact "journal 2 incarnations 1 slot, lost answers, 2 late requests, a reader" journal -DNSLOT=1 -DNLATE=2 -DLOST_ANSWERS -DREADER
	$run exact "journal 2 incarnations 1 slot, the other owner" journal -DNSLOT=1 -DLOST_ANSWERS -DOWNER_0=2
	$run exact "journal 2 incarnations 1 slot, decided links" journal -DNSLOT=1 -DDECIDED_LINKS
	$run exact "journal 3 incarnations 1 slot, one by restart" journal -DNSLOT=1 -DNLATE=0 -DRESTARTS=1 -DHURRY
	# Several slots. HURRY: nobody stays behind in a slot that another has learned
	$run hashed "journal 2 incarnations 2 slots" journal -DNSLOT=2 -DNLATE=0
	$run hashed "journal 2 incarnations 3 slots, in step, 1 late request" journal -DNSLOT=3 -DHURRY
	$run hashed "journal 2 incarnations 2 slots, in step, operations" journal -DNSLOT=2 -DNLATE=0 -DHURRY -DOPS -DTWO_OPS
	$run exact "once 3 incarnations" once -DNSLOT=7
	$run exact "once 3 incarnations, the first ones live on" once -DNSLOT=7 -DZOMBIE
	$run hashed "floor 2 sleepers 1 slot" floor -DNSLOT=1
	$run exact "floor 1 sleeper 2 slots" floor $floor_2

	# Each bug in the smallest configuration that shows it
	$run planted BLIND journal -DNSLOT=1
	$run planted PROMISE_FORGETS journal -DNSLOT=1
	$run planted ANY_VALUE journal -DNSLOT=1 -DNROUND=2
	$run planted COUNT_ANY journal -DNSLOT=1 -DNROUND=2
	$run planted COMPARE_BY_AUTHOR journal -DNSLOT=1
	$run planted UNKNOWN_IS_FAILURE journal -DNSLOT=1 -DLOST_ANSWERS
	$run planted OWNER_BY_BALLOT journal -DNSLOT=2
	$run planted FORGET_BALLOTS journal -DNSLOT=2 -DHURRY
	$run planted REUSE_0 journal -DNSLOT=1 -DRESTARTS=1
	$run planted LINK_0 journal -DNSLOT=1 -DREADER
	$run planted ONE_STORE journal -DNSLOT=1 -DREADER
	$run planted LOST_BY_BALLOT journal -DNSLOT=2 -DNLATE=0 -DHURRY -DOPS
	$run planted HIGH_WATER_SET journal -DNSLOT=2 -DNLATE=0 -DHURRY -DOPS -DTWO_OPS
	$run planted RESUBMIT_WITHOUT_FENCE journal -DNSLOT=2 -DNLATE=0 -DHURRY -DOPS -DRESTARTS=1
	$run planted HIGH_WATER_SET once
	$run planted RESUBMIT_WITHOUT_FENCE once
	$run planted FENCE_MOUNTED_ONLY once
	$run planted MOUNT_AGAIN once
	$run planted FORGET_HEIR once
	$run planted TWO_HEIRS once -DZOMBIE
	$run planted DELETE_AT_ONCE floor -DNSLOT=1
	$run planted FLOOR_EMPTY_ONLY floor -DNSLOT=1
	$run planted LOCAL_CLOCK floor -DNSLOT=1
	$run planted STAMP_BY_LEARNING floor $floor_2
	$run planted SKEW=3 floor -DNSLOT=1

	[ "$mode" = --full ] || return 0
	$run bits "journal 2 incarnations 1 slot, 2 rounds" journal -DNSLOT=1 -DNROUND=2
	$run bits "journal 2 incarnations 2 slots, 1 late request" journal -DNSLOT=2
	$run bits "journal 2 incarnations 3 slots" journal -DNSLOT=3 -DNLATE=0
	$run hashed "journal 2 incarnations 3 slots, in step, operations" journal -DNSLOT=3 -DHURRY -DOPS
	$run hashed "journal 3 incarnations 1 slot" journal -DNSLOT=1 -DNMOUNT=3 -DNLATE=0
	$run bits "journal 3 incarnations 2 slots, in step" journal -DNSLOT=2 -DNMOUNT=3 -DNLATE=0 -DHURRY
	$run hashed "journal 3 incarnations 2 slots, in step, one by restart" journal -DNSLOT=2 -DNLATE=0 -DRESTARTS=1 -DHURRY
	$run bits "journal 3 incarnations 2 slots, in step, one by restart, operations" journal -DNSLOT=2 -DNLATE=0 -DRESTARTS=1 -DHURRY -DOPS
	$run hashed "floor 2 sleepers that create" floor -DNSLOT=1 -DCREATORS=2
	$run bits "floor 2 sleepers 2 slots" floor -DNSLOT=2
}

run_one() # KIND NAME MODEL MACROS...
{
	[ "$(jobs -pr | wc -l)" -lt "$jobs" ] || wait -n
	if [ "$1" = planted ]; then
		set -- planted "$2 in $3" "$3" "-D$2" -DPLANTED "${@:4}"
	fi
	check "$@" | tee -a "$tmp/results" &
}

show_one() # the shortest counterexample of the bug $shown
{
	[ "$1" = planted ] && [ "$2" = "$shown" ] || return 0
	set -- "$3" "-D$2" -DPLANTED "${@:4}"
	if ! build shortest "$tmp/show" "$@"; then
		tail -1 "$tmp/show/build.log"
		exit 1
	fi
	./pan -E >pan.log 2>&1
	echo "# $*"
	spin -T -t "${@:2}" "$here/$1.pml" | grep -vE '^(spin: (trail|.*processes)|#processes|.*proc +[0-9]+ \()' | sed 's/^ *//'
}

case $mode in
--show) configurations show_one ;;
quick | --full)
	configurations run_one
	wait
	passed=$(grep -c '^ok' "$tmp/results")
	failed=$(grep -c '^not ok' "$tmp/results")
	echo "$passed passed, $failed failed, 0 skipped"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
	;;
*)
	sed -n 's/^#   //p' "$0" >&2
	exit 2
	;;
esac
