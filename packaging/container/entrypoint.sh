#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mangrove-mount VOLUME DIR [OPTIONS...]: makes DIR and mounts VOLUME on it in the foreground. The end of the container is its
# unmount: SIGTERM uploads what was written first.
set -e

# Fails where a dead mount is, which the mount takes away itself.
mkdir -p "$2" || true
exec mangrove mount -f "$@"
