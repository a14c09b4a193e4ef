#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the Debian package: mangrove_VERSION_ARCH.deb (and its debug symbols) in a folder.
#
#   packaging/build-deb.sh [FOLDER]        build-deb, if none is given
#   packaging/build-deb.sh --deps          first install what the build needs (root)
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
deps=no

for arg; do
	case $arg in
	--deps) deps=yes ;;
	-h | --help)
		sed -n '3,6s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	-*)
		echo "build-deb.sh: unknown option $arg (see --help)" >&2
		exit 2
		;;
	*) folder=$arg ;;
	esac
done
folder=${folder:-$top/build-deb}

version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" "$top/meson.build")
packaged=$(sed -n '1s/^mangrove (\([^)-]*\).*/\1/p' "$top/packaging/debian/changelog")
if [ "$version" != "$packaged" ]; then
	echo "build-deb.sh: meson.build says $version, packaging/debian/changelog says $packaged" >&2
	exit 1
fi

if [ $deps = yes ]; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q
	apt-get install -q -y --no-install-recommends dpkg-dev debhelper
fi

# A copy: debian/ belongs at the top, and nothing is left in the tree.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/mangrove" "$folder"
tar -C "$top" --exclude-vcs --exclude='./build*' --exclude=__pycache__ -cf - . | tar -C "$work/mangrove" -xf -
cp -r "$top/packaging/debian" "$work/mangrove/debian"
cd "$work/mangrove"
[ $deps = no ] || apt-get build-dep -q -y --no-install-recommends ./
dpkg-buildpackage -b -us -uc
cp "$work"/*.deb "$work"/*.changes "$work"/*.buildinfo "$folder/"
echo "built: $folder/$(cd "$work" && ls mangrove_*.deb)"
