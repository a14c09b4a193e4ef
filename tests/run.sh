#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests need, builds, and runs them all. The last line is "N passed, M failed, K skipped";
# the exit status is 1 if anything failed.
#
#   tests/run.sh                all of it
#   tests/run.sh unit mount     these suites only (lint unit contract model sim ...; mount posix cloud crash ...)
#   tests/run.sh --quick        without the build with sanitizers
#   tests/run.sh --no-install   the packages are there, or must not be installed
#
# MANGROVE_TEST_BUILD   where to build (build-test)
set -uo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
build=${MANGROVE_TEST_BUILD:-$top/build-test}
install=yes
sanitize=yes
suites=()

packages=(
	# to build
	gcc libc6-dev meson ninja-build pkg-config libfuse3-dev libcurl4-openssl-dev libssl-dev librocksdb-dev
	libsodium-dev libexpat1-dev libjansson-dev uthash-dev libmicrohttpd-dev libmount-dev libzstd-dev libcmocka-dev
	# to test
	fuse3 python3 python3-cryptography python3-venv rclone ca-certificates openssl curl procps attr git rsync sqlite3 spin stress-ng
	debhelper dpkg-dev lintian mandoc chromium-headless-shell fonts-dejavu-core
	default-jre-headless
	clang libclang-rt-dev
)

say()
{
	printf '\n== %s\n' "$*"
}

# What cannot be built cannot be tested: that is a failure like another.
give_up()
{
	printf 'tests/run.sh: %s\n0 passed, 1 failed, 0 skipped\n' "$*"
	exit 1
}

missing_packages()
{
	local package
	for package in "${packages[@]}"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
	done
}

install_packages()
{
	local missing
	command -v dpkg-query >/dev/null || return 0
	mapfile -t missing < <(missing_packages)
	[ ${#missing[@]} -gt 0 ] || return 0
	say "Packages: ${missing[*]}"
	if [ "$(id -u)" != 0 ]; then
		echo "not root: going on without them"
		return 0
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}" ||
		echo "not all could be installed: going on without them"
}

# DIR OPTIONS...
build_in()
{
	local dir=$1
	shift
	say "Building in $dir"
	if ! [ -f "$dir/build.ninja" ]; then
		rm -rf "$dir/meson-private"
		meson setup "$dir" "$top" "$@" >"$dir.setup.log" 2>&1 || {
			cat "$dir.setup.log"
			give_up "meson setup failed"
		}
	fi
	ninja -C "$dir" || give_up "the build failed"
}

while [ $# -gt 0 ]; do
	case $1 in
	--no-install) install=no ;;
	--quick) sanitize=no ;;
	-h | --help)
		sed -n '3,11s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	-*)
		echo "tests/run.sh: unknown option $1 (see --help)" >&2
		exit 2
		;;
	*) suites+=("$1") ;;
	esac
	shift
done

[ $install = no ] || install_packages
for tool in gcc meson ninja python3; do
	command -v $tool >/dev/null || give_up "$tool is missing"
done
mkdir -p "$build"
build_in "$build/plain" --werror
arguments=(--plain "$build/plain")
if [ $sanitize = yes ]; then
	build_in "$build/sanitized" --werror -Db_sanitize=address,undefined
	arguments+=(--sanitized "$build/sanitized")
fi
if [ $install = yes ] && [ -x "$top/tests/contract/emulators.sh" ]; then
	say "Emulators of the three clouds"
	"$top/tests/contract/emulators.sh" install || echo "not all of them can be had here"
fi
exec python3 "$top/tests/lib/run.py" "${arguments[@]}" "${suites[@]}"
