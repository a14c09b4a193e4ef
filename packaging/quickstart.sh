#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# From nothing to a mounted volume on three stores, and through the loss of one of them.
# Run as root on Debian 12 or 13. Installs packages with apt, builds in ./build, works below /var/lib/mangrove-quickstart.
#
#   packaging/quickstart.sh              everything
#   packaging/quickstart.sh --no-install  the packages are there already
#   packaging/quickstart.sh --remove      takes the trial volume away again
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
build=${MANGROVE_BUILD:-$top/build}
home=${MANGROVE_QUICKSTART:-/var/lib/mangrove-quickstart}
mnt=$home/mnt
mangrove=$build/tools/mangrove
install=yes

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
die() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }
show() { printf '$ %s\n' "$*"; "$@"; }

take_away() {
	if mountpoint -q "$mnt" 2>/dev/null || grep -q " $mnt " /proc/mounts; then
		"$mangrove" umount "$mnt" 2>/dev/null || umount -l "$mnt" || true
	fi
	rm -rf "$home"
}

for arg; do
	case $arg in
	--no-install) install=no ;;
	--remove) take_away; echo "removed $home"; exit 0 ;;
	-h | --help) sed -n '3,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
	*) die "unknown option $arg (see --help)" ;;
	esac
done

[ "$(id -u)" = 0 ] || die "run it as root (packages are installed, and a file system is mounted)"
[ -e /dev/fuse ] || modprobe fuse 2>/dev/null || die "there is no /dev/fuse: the kernel lacks FUSE, or this is a container without it"

if [ $install = yes ]; then
	say "Installing what is needed"
	command -v apt-get >/dev/null || die "apt-get is missing: install the packages of README.md by hand and use --no-install"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q
	apt-get install -q -y --no-install-recommends gcc libc6-dev meson ninja-build pkg-config fuse3 libfuse3-dev \
		libcurl4-openssl-dev libssl-dev librocksdb-dev libsodium-dev libexpat1-dev libjansson-dev uthash-dev \
		libmicrohttpd-dev libmount-dev libzstd-dev ca-certificates
fi

say "Building"
[ -f "$build/build.ninja" ] || meson setup "$build" "$top" -Dtests=false --buildtype=release
meson compile -C "$build"

say "A volume on three stores"
take_away
mkdir -p "$home"/stores/{aws,azure,google} "$mnt"
show "$mangrove" format demo --config "$home/demo.conf" --key-file "$home/demo.key" \
	--store "aws=file://$home/stores/aws" --store "azure=file://$home/stores/azure" --store "google=file://$home/stores/google"

say "Mounting it"
options=cache_dir=$home/cache
show "$mangrove" mount "$home/demo.conf" "$mnt" -o "$options"

say "Writing and reading real files"
cp -a "$top/fs" "$top/base" "$mnt/"
head -c 64M /dev/urandom >"$home/sample"
cp "$home/sample" "$mnt/sample"
diff -r "$top/fs" "$mnt/fs"
diff -r "$top/base" "$mnt/base"
cmp "$home/sample" "$mnt/sample"
echo "$(find "$mnt" -type f | wc -l) files written and compared"

say "One store goes away: $home/stores/azure is moved"
mv "$home/stores/azure" "$home/stores/azure.away"
cp -a "$top/backends" "$mnt/"
diff -r "$top/backends" "$mnt/backends"
cp "$home/sample" "$mnt/sample-2"
cmp "$home/sample" "$mnt/sample-2"
echo "reading and writing went on, without an error"
show "$mangrove" status "$mnt" || [ $? = 3 ] # 3: done, but degraded

say "The store comes back; what it missed is repaired"
mv "$home/stores/azure.away" "$home/stores/azure"
show "$mangrove" status "$mnt" --wait
show "$mangrove" status "$mnt"

say "Unmounting"
show "$mangrove" umount "$mnt"
rm -f "$home/sample"

cat <<TXT

Done. The volume is still there; mount it again with

    $mangrove mount $home/demo.conf $mnt -o $options

and look at it with \`$mangrove status\`. Take everything away with \`$0 --remove\`.
The recovery key printed above opens the volume when the key file $home/demo.key is lost.
TXT
