# SPDX-License-Identifier: Apache-2.0
# bash completion for mangrove. Commands and options are those that the program itself lists.
_mangrove_volumes()
{
	local folder file
	for folder in /etc/mangrove "${XDG_CONFIG_HOME:-$HOME/.config}/mangrove"; do
		for file in "$folder"/*.conf; do
			[ -e "$file" ] || continue
			file=${file##*/}
			printf '%s\n' "${file%.conf}"
		done
	done
}

_mangrove_mounts()
{
	local device dir type rest
	while read -r device dir type rest; do
		[ "$type" = fuse.mangrove ] && printf '%b\n' "${dir//\\040/ }"
	done </proc/self/mounts
}

_mangrove_stores()
{
	mangrove status --json 2>/dev/null | sed -n 's/.*"name": *"\([^"]*\)", *"url".*/\1/p; /"stores"/,/\]/s/^ *"name": *"\([^"]*\)",*$/\1/p'
}

# The last of the options that are separated by commas.
_mangrove_mount_options()
{
	local done=
	[[ $cur == *,* ]] && done=${cur%,*},
	compopt -o nospace
	mapfile -t COMPREPLY < <(compgen -P "$done" -W "ro rw allow_other strict acl accept_rollback names=early
		names=committed close=quorum close=staged freshness= orphan_grace= deadline= memory= max_read_ahead= listen= subdir= config=
		cache_dir= cache_size= key_file= passphrase_file= key_command= recovery_key_file= uid= gid= umask= log_file=
		log_level=error log_level=warn log_level=info log_level=debug nosuid suid nodev dev noexec exec noatime sync
		dirsync" -- "${cur##*,}")
}

_mangrove_files()
{
	compopt -o filenames
	mapfile -t COMPREPLY < <(compgen "-$1" -- "$cur")
}

_mangrove_words()
{
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

# The value of an option; fails where the word is none.
_mangrove_value()
{
	case $prev in
	-o | --options) _mangrove_mount_options ;;
	--credentials | --config | --key-file | --passphrase-file | --recovery-key | --log-file | --position-file | --output) _mangrove_files f ;;
	--cache-dir) _mangrove_files d ;;
	--log-level) _mangrove_words "error warn info debug" ;;
	--policy) _mangrove_words "reader writer gc" ;;
	--mode) _mangrove_words "down slow errors corrupt none" ;;
	--mirror) _mangrove_words "s3:// azblob:// gs:// file:///" && compopt -o nospace ;;
	--store) [ "${COMP_WORDS[1]}" = scrub ] && _mangrove_words "$(_mangrove_stores)" || _mangrove_words "s3:// azblob:// gs:// file:///" && compopt -o nospace ;;
	--timeout | --ttl | --for | --grace | --share | --rate | --delay | --count | --since | --from | --last | --acknowledge | --only | --cache-size | --kdf-* | --key-command) COMPREPLY=() ;;
	*) return 1 ;;
	esac
}

# A plain word of a command.
_mangrove_word()
{
	case $1 in
	mount) [ "$COMP_CWORD" = 2 ] && _mangrove_words "$(_mangrove_volumes)" || _mangrove_files d ;;
	config | doctor | gc) _mangrove_words "$(_mangrove_volumes)" ;;
	fsck | scrub) _mangrove_words "$(_mangrove_volumes) $(_mangrove_mounts)" ;;
	attach) [ "$COMP_CWORD" = 2 ] && _mangrove_words "s3:// azblob:// gs:// file:///" && compopt -o nospace ||
		_mangrove_words "$(_mangrove_mounts)" ;;
	umount | status | sync | top) _mangrove_words "$(_mangrove_mounts)" ;;
	drill) [ "$COMP_CWORD" = 2 ] && _mangrove_words "$(_mangrove_stores)" || _mangrove_words "$(_mangrove_mounts)" ;;
	debug) [ "$COMP_CWORD" = 2 ] && _mangrove_words "bundle checkpoint" || _mangrove_words "$(_mangrove_mounts)" ;;
	log-level) [ "$COMP_CWORD" = 2 ] && _mangrove_words "error warn info debug" || _mangrove_words "$(_mangrove_mounts)" ;;
	key) [ "$COMP_CWORD" = 2 ] && _mangrove_words "list add remove" || _mangrove_words "$(_mangrove_mounts)" ;;
	format | version) COMPREPLY=() ;;
	*) _mangrove_files f ;;
	esac
}

_mangrove()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		_mangrove_words "$(mangrove --help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p') --help --version"
	elif ! _mangrove_value; then
		case $cur in
		-*) _mangrove_words "$(mangrove "${COMP_WORDS[1]}" --help 2>/dev/null |
			grep -oE -- '(^|[^a-z-])--[a-z][a-z-]*' | grep -oE -- '--.*' | sort -u) --help" ;;
		*) _mangrove_word "${COMP_WORDS[1]}" ;;
		esac
	fi
}
complete -F _mangrove mangrove
