#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Checks the Spin models of the journal: the correct rules have no error, every planted bug is found.
#   tests/model/run.sh          a few minutes on two cores
#   tests/model/run.sh --full   two slots and three mounts as well, by hash of states where they do not fit: longer
# time limit: 900 s
set -u

here=$(cd "$(dirname "$0")" && pwd)
full=no
[ "${1-}" = --full ] && full=yes
passed=0
failed=0

if ! command -v spin >/dev/null; then
	echo "skip - model: spin is not installed"
	exit 77
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

report() # WORD NAME DETAIL
{
	if [ "$1" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
	echo "$1 - $2 ($3)"
}

# verify KIND NAME MODEL MACROS...: KIND is "right" (no error, all states visited), "hashed" (no error, as far as hashing
# states reaches) or "planted" (an error must be found).
verify()
{
	local kind=$1 name=$2 model=$3 dir=$tmp/$2 flags run errors states
	shift 3
	mkdir -p "$dir"
	cd "$dir" || exit 1
	case $kind in
	right) flags="-DCOLLAPSE -DMEMLIM=3000" run="-m2000000" ;;
	*) flags="-DBITSTATE" run="-m300000 -w28" ;;
	esac
	# shellcheck disable=SC2086
	if ! spin -a "$@" "$here/$model" >spin.log 2>&1 || ! gcc -O2 -w -DSAFETY $flags -o pan pan.c >gcc.log 2>&1; then
		report "not ok" "$name" "the model does not build: $(tail -1 spin.log)"
		return
	fi
	# shellcheck disable=SC2086
	timeout 300 ./pan -E $run >pan.log 2>&1
	errors=$(grep -oE 'errors: [0-9]+' pan.log | tail -1 | cut -d' ' -f2)
	states=$(awk '/states, stored/ { print $1; exit }' pan.log)
	if [ "$kind" = planted ]; then
		if [ "${errors:-0}" -gt 0 ]; then
			report ok "$name" "found after ${states:-?} states"
		else
			report "not ok" "$name" "the planted bug was not found"
		fi
	elif [ "${errors:-1}" = 0 ] && ! grep -qE 'MEMLIM|max search depth too small' pan.log; then
		report ok "$name" "$states states"
	else
		report "not ok" "$name" "$(grep -E 'assertion violated|MEMLIM|max search depth' pan.log | head -1)"
	fi
	cd "$here" && rm -rf "$dir"
}

planted()
{
	local bug=$1 model=$2
	shift 2
	verify planted "planted $bug" "$model" "-D$bug" -DPLANTED "$@"
}

verify right "journal, two mounts, one slot" journal.pml -DNSLOT=1
verify right "journal, two mounts and a reader" journal.pml -DNSLOT=1 -DREADER
verify right "journal, lost answers" journal.pml -DNSLOT=1 -DLOST_ANSWERS -DNLATE=0

planted BLIND journal.pml -DNSLOT=1
planted ANY_VALUE journal.pml -DNSLOT=1 -DNROUND=2
planted COUNT_ANY journal.pml -DNSLOT=1
planted COMPARE_BY_AUTHOR journal.pml -DNSLOT=1
planted UNKNOWN_IS_FAILURE journal.pml -DNSLOT=1 -DLOST_ANSWERS
planted FORGET_BALLOTS journal.pml -DNSLOT=1
planted OWNER_BY_BALLOT journal.pml -DOPS
planted REUSE_0 journal.pml -DNSLOT=1 -DRESTARTS=1
planted LINK_0 journal.pml -DNSLOT=1 -DREADER
planted ONE_STORE journal.pml -DNSLOT=1 -DREADER
planted HIGH_WATER_SET journal.pml -DOPS -DNLATE=0
planted LOST_BY_BALLOT journal.pml -DOPS -DHURRY -DNLATE=0
planted DELETE_AT_ONCE floor.pml
planted LOCAL_CLOCK floor.pml
planted FLOOR_EMPTY_ONLY floor.pml -DCREATORS=2

if [ $full = yes ]; then
	verify hashed "journal, two mounts, two slots" journal.pml -DNLATE=0
	verify hashed "journal, operations" journal.pml -DOPS -DNLATE=0
	verify hashed "journal, a restart" journal.pml -DNSLOT=1 -DRESTARTS=1
	verify hashed "journal, three mounts" journal.pml -DNSLOT=1 -DNMOUNT=3 -DNLATE=0
	verify hashed "floor" floor.pml
fi

echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
