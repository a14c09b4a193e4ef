#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the house that no compiler checks.

    lint.py [ROOT]        checks the tree; one line for each finding; status 1 if there are any
    lint.py --self-test   plants an error of each kind in a copy of the tree and demands that it is found

The rules: `direction` (includes follow a write: tools -> fs -> cache -> backends -> base), `inside-fs` (their order within
fs/), `door` (each library is included by one file), `waiting` (threads, clocks, sleep and randomness come from base/wait.h),
`comment`, `banned`, `licence`, `length`, `width` (of C), `blanks`, `words`.
"""
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

LAYERS = ["base", "backends", "cache", "fs", "tools"]  # each may include itself and what stands before it
PRODUCT = tuple(layer + "/" for layer in LAYERS)
TEXT_SUFFIXES = {".c", ".h", ".py", ".sh", ".md", ".build", ".txt", ".ini", ".conf", ".yml", ".pml", ".service", ".scd"}
SKIPPED_FOLDERS = {".git", ".cache", "__pycache__"}
LINES_MAX = 800
COLUMNS_MAX = 100  # of C, where a tab is 8

# Levels inside fs/, the first pattern that fits counts; a file may include its own level and lower ones.
FS_LEVELS = [
    (r"fs/(seal|keys|key_source|recovery|command|options)\w*\.[ch]", 0, "keys and seals"),
    (r"fs/(ns|journal)/", 1, "ns and journal"),
    (r"fs/(commit\w*\.[ch]|staging\.[ch]|checkpoint\w*\.[ch]|data/|attach/|upkeep/)", 2, "commit, checkpoint, data, attach, upkeep"),
    (r"fs/fuse\w*\.[ch]", 4, "fuse"),
    (r"fs/", 3, "the volume around them"),
]
NS_MAY_INCLUDE = re.compile(r"(base/|fs/ns/|cache/(view|kv)\.h$)")

# Library header -> who may include it.
DOORS = [
    (r"fuse(_\w+)?\.h|fuse3?/", r"fs/fuse\w*\.[ch]"),
    (r"curl/", r"backends/http\.c"),
    (r"rocksdb/", r"cache/kv(_run|_rocks_i)?\.[ch]"),
    (r"openssl/", r"base/crypto\.c"),
    (r"sodium(/\w+)?\.h|sodium/", r"base/sodium\.c"),
    (r"expat(_\w+)?\.h", r"base/xml\.c"),
    (r"jansson(_\w+)?\.h", r"base/json\.c"),
    (r"microhttpd\.h", r"fs/control\.c"),
    (r"libmount(/|\.h)", r"tools/utab\.c"),
    (r"zstd\.h", r"fs/checkpoint_part\.c"),
    (r"pthread\.h|threads\.h|semaphore\.h|sys/random\.h", r"base/wait\.c"),
]

# Calls that wait, start threads, read clocks or draw randomness, and the files besides base/wait.c that may.
POLLING = r"poll|ppoll|select|pselect|epoll_\w+"
WAITING = [
    (re.compile(rf"(?<![\w.>])({POLLING})\s*\("), r"backends/http\.c|fs/control\.c|fs/fuse\w*\.c"),
    (
        re.compile(
            r"(?<![\w.>])(pthread_\w+|thrd_\w+|nanosleep|clock_nanosleep|usleep|sleep|alarm|timer_\w+|timerfd_\w+"
            r"|clock_gettime|gettimeofday|time|getrandom|getentropy|arc4random\w*|rand|srand|random|srandom)\s*\("
        ),
        None,
    ),
]

BANNED = {
    "strcpy": "snprintf or memcpy knows the size",
    "strcat": "use a struct buf",
    "sprintf": "use snprintf",
    "vsprintf": "use vsnprintf",
    "gets": "it has no limit",
    "strtok": "it keeps state between callers",
    "atoi": "use uint_parse: it tells an error",
    "atol": "use uint_parse: it tells an error",
    "system": "start the program itself",
    "popen": "start the program itself",
}
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")

# Put together here, so that this file does not find itself.
WORDS = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(wo" + r"rk/|tmp/w" + r"t/|tmp/br" + r"ief)")

TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)


class File:
    """One file: its path below the root, its text, and for C its code without comments and strings."""

    def __init__(self, root, path):
        self.path = path
        self.text = (root / path).read_text(encoding="utf-8", errors="replace")
        self.is_c = path.endswith((".c", ".h"))
        self.in_product = path.startswith(PRODUCT)
        self.line_comments = []
        self.code = TOKEN.sub(self._blank, self.text) if self.is_c else ""

    def _blank(self, match):
        token = match.group(0)
        if token.startswith("//"):
            self.line_comments.append(match.start())
        if token[0] in "\"'":
            return token[0] * 2
        return re.sub(r"[^\n]", "", token) or " "

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def code_hits(self, pattern):
        """(line, match) for each hit in the code, whose lines are those of the text."""
        for match in pattern.finditer(self.code):
            yield self.code.count("\n", 0, match.start(1)) + 1, match

    def includes(self):
        """(line, header, in quotes) for each include."""
        for match in INCLUDE.finditer(self.text):
            yield self.line_of(match.start(1) if match.group(1) else match.start(2)), match.group(1) or match.group(2), bool(match.group(1))


def check_direction(file):
    if not file.in_product:
        return
    own = LAYERS.index(file.path.split("/")[0])
    for line, header, quoted in file.includes():
        layer = header.split("/")[0]
        if quoted and layer not in LAYERS:
            yield line, f'"{header}": a path from the top, in one of {", ".join(LAYERS)}'
        elif layer in LAYERS and LAYERS.index(layer) > own:
            yield line, f"{LAYERS[own]}/ includes {header}: includes go tools -> fs -> cache -> backends -> base, never back"


def fs_level(path):
    return next(((level, name) for pattern, level, name in FS_LEVELS if re.match(pattern, path)), None)


def check_inside_fs(file):
    own = fs_level(file.path)
    if not own:
        return
    for line, header, quoted in file.includes():
        other = fs_level(header)
        if other and other[0] > own[0]:
            yield line, f"{header} ({other[1]}) stands above {own[1]}"
        elif quoted and file.path.startswith("fs/ns/") and not NS_MAY_INCLUDE.match(header):
            yield line, f"{header}: fs/ns/ includes base/, cache/view.h, cache/kv.h and its own only"


def check_door(file):
    if not file.in_product or not file.is_c:  # a build's question to the compiler is no use of a library
        return
    for line, header, quoted in file.includes():
        for pattern, door in DOORS:
            if not quoted and re.match(pattern, header) and not re.fullmatch(door, file.path):
                yield line, f"<{header}> has one door: {door}"


def check_waiting(file):
    if not file.in_product or file.path == "base/wait.c":
        return
    for pattern, allowed in WAITING:
        if allowed and re.fullmatch(allowed, file.path):
            continue
        for line, match in file.code_hits(pattern):
            yield line, f"{match.group(1)}(): threads, clocks, waiting and randomness come from base/wait.h"


def check_comment(file):
    for offset in file.line_comments:
        yield file.line_of(offset), "a comment with //: what stays is written /* */"


def check_banned(file):
    if not file.in_product:
        return
    for line, match in file.code_hits(BANNED_CALL):
        yield line, f"{match.group(1)}(): {BANNED[match.group(1)]}"


def check_licence(file):
    if not file.path.endswith((".c", ".h", ".py", ".sh", "meson.build", ".pml")):
        return
    if not any("SPDX-License-Identifier: Apache-2.0" in line for line in file.text.split("\n")[:2]):
        yield 1, "the SPDX line is missing"


def check_length(file):
    lines = file.text.count("\n")
    if file.path.endswith((".c", ".h", ".py", ".sh")) and lines > LINES_MAX:
        yield lines, f"{lines} lines, {LINES_MAX} allowed: split it by noun"


def check_width(file):
    if not file.is_c:
        return
    for number, line in enumerate(file.text.split("\n"), 1):
        columns = len(line.expandtabs(8))
        if columns > COLUMNS_MAX:
            yield number, f"{columns} columns, {COLUMNS_MAX} allowed"


def check_blanks(file):
    if not file.is_c:
        return
    for number, line in enumerate(file.text.split("\n"), 1):
        if re.match(r" +(?![*\\])\S| {2,}\*", line):
            yield number, "indented with blanks: tabs of 8"
        elif re.search(r"[ \t]$", line):
            yield number, "blanks at the end of the line"


def check_words(file):
    for match in WORDS.finditer(file.text):
        yield file.line_of(match.start()), f"{match.group(1)}: do it, or say why it is so"
    for match in MACHINE_PATHS.finditer(file.text):
        yield file.line_of(match.start()), "a path of one machine"


RULES = {
    "direction": check_direction,
    "inside-fs": check_inside_fs,
    "door": check_door,
    "waiting": check_waiting,
    "comment": check_comment,
    "banned": check_banned,
    "licence": check_licence,
    "length": check_length,
    "width": check_width,
    "blanks": check_blanks,
    "words": check_words,
}


def is_checked(name):
    return Path(name).suffix in TEXT_SUFFIXES or name == "meson_options.txt"


def files_below(root):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS and not f.startswith("build"))
        for name in sorted(names):
            if is_checked(name):
                yield os.path.relpath(os.path.join(folder, name), root)


def check(root):
    """All findings of the tree as (path, line, rule, message), and the number of files."""
    findings, count = [], 0
    for path in files_below(root):
        file = File(Path(root), path)
        count += 1
        for rule, check_file in RULES.items():
            findings += [(path, line, rule, message) for line, message in check_file(file)]
    return findings, count


HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n"

# (rule, path, content): each must be found.
PLANTED = [
    ("direction", "base/planted.c", HEAD + '#include "cache/view.h"\n'),
    ("direction", "backends/planted.c", HEAD + '#include "fs/seal.h"\n'),
    ("direction", "cache/planted.h", HEAD + "#include <tools/ui.h>\n"),
    ("direction", "fs/planted.c", HEAD + '#include "tests/lib/cm.h"\n'),
    ("direction", "fs/planted.c", HEAD + '#include "seal.h"\n'),
    ("inside-fs", "fs/ns/planted.c", HEAD + '#include "fs/journal/journal.h"\n'),
    ("inside-fs", "fs/ns/planted.c", HEAD + '#include "cache/pieces.h"\n'),
    ("inside-fs", "fs/ns/planted.c", HEAD + '#include "backends/store.h"\n'),
    ("inside-fs", "fs/journal/planted.c", HEAD + '#include "fs/commit.h"\n'),
    ("inside-fs", "fs/seal_planted.c", HEAD + '#include "fs/ns/rows.h"\n'),
    ("inside-fs", "fs/data/planted.c", HEAD + '#include "fs/fuse.h"\n'),
    ("inside-fs", "fs/volume_planted.c", HEAD + '#include "fs/fuse_i.h"\n'),
    ("door", "cache/view_planted.c", HEAD + "#include <rocksdb/c.h>\n"),
    ("door", "backends/s3_planted.c", HEAD + "#include <curl/curl.h>\n"),
    ("door", "fs/keys_planted.c", HEAD + "#include <sodium.h>\n"),
    ("door", "fs/keys_planted.c", HEAD + "# include  <openssl/evp.h>\n"),
    ("door", "tools/planted.c", HEAD + "#include <fuse_lowlevel.h>\n"),
    ("door", "backends/planted.c", HEAD + "#include <expat.h>\n"),
    ("door", "backends/planted.c", HEAD + "#include <jansson.h>\n"),
    ("door", "tools/planted.c", HEAD + "#include <microhttpd.h>\n"),
    ("door", "base/planted.c", HEAD + "#include <pthread.h>\n"),
    ("waiting", "base/planted.c", HEAD + "void f(void)\n{\n\tpthread_yield();\n}\n"),
    ("waiting", "fs/planted.c", HEAD + "void f(void)\n{\n\tusleep (5);\n}\n"),
    ("waiting", "fs/planted.c", HEAD + "long f(void)\n{\n\treturn time(NULL);\n}\n"),
    ("waiting", "cache/planted.c", HEAD + "int f(void)\n{\n\treturn poll(NULL, 0, 1);\n}\n"),
    ("waiting", "backends/planted.c", HEAD + "int f(void)\n{\n\treturn rand();\n}\n"),
    ("waiting", "backends/http.c", HEAD + "int f(void)\n{\n\treturn clock_gettime(0, 0);\n}\n"),
    ("comment", "tests/unit/planted.c", HEAD + "int x; // no\n"),
    ("banned", "tools/planted.c", HEAD + "void f(char *a)\n{\n\tstrcpy(a, \"b\");\n}\n"),
    ("banned", "tools/planted.c", HEAD + "int f(void)\n{\n\treturn system(\"ls\");\n}\n"),
    ("licence", "base/planted.c", "int x;\n"),
    ("licence", "tests/planted.sh", "#!/bin/sh\n\n\n# SPDX-License-Identifier: Apache-2.0\n"),
    ("length", "base/planted.c", HEAD + "int x;\n" * LINES_MAX),
    ("width", "tests/unit/planted.h", HEAD + "\t/* " + "x" * (COLUMNS_MAX - 13) + " */\n"),
    ("blanks", "base/planted.c", HEAD + "void f(void)\n{\n        g();\n}\n"),
    ("blanks", "base/planted.c", HEAD + "int x; \n"),
    ("words", "base/planted.c", HEAD + "/* " + "TO" + "DO: later */\n"),
    ("words", "README.md", "see /wo" + "rk/main\n"),
]

# Correct, and easily mistaken: nothing may be found here.
INNOCENT = (
    HEAD
    + '#include "base/wait.h"\n'
    + '/* time(NULL), strcpy(), poll() */\n'
    + 'static const char *url = "http://time(";\n'
    + "void f(struct ops *o)\n{\n\to->time(o);\n\to.poll();\n\tsleep_for(1);\n\tmy_time(1);\n\tuint_time ();\n"
    + "\tc = '\"'; /* \" */\n\tmkstemp(\"a-" + "X" * 6 + "\");\n}\n"
)


def planted_is_found(root, rule, path, content):
    target = Path(root) / path
    before = target.read_text() if target.exists() else None
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)
    found = [f for f in check(root)[0] if f[0] == path and f[2] == rule]
    if before is None:
        target.unlink()
    else:
        target.write_text(before)
    return bool(found)


def copy_tree(root, to):
    for path in files_below(root):
        target = Path(to) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(root) / path, target)


def self_test(root):
    failures = []
    missing = set(RULES) - {rule for rule, _, _ in PLANTED}
    failures += [f"nothing is planted for the rule {rule}" for rule in sorted(missing)]
    with tempfile.TemporaryDirectory(prefix="mangrove-lint-") as small:
        for rule, path, content in PLANTED:
            if not planted_is_found(small, rule, path, content):
                failures.append(f"{rule}: not found in {path}: {content.splitlines()[-1]!r}")
        (Path(small) / "fs").mkdir(exist_ok=True)
        (Path(small) / "fs/innocent.c").write_text(INNOCENT)
        failures += [f"found where nothing is: {finding}" for finding in check(small)[0] if finding[0] == "fs/innocent.c"]
    with tempfile.TemporaryDirectory(prefix="mangrove-lint-") as whole:
        copy_tree(root, whole)
        rule, path, content = PLANTED[0]
        if not planted_is_found(whole, rule, path, content):
            failures.append("not found in a copy of the whole tree")
    for failure in failures:
        print(f"self-test: {failure}")
    print(f"{len(PLANTED)} planted errors, {len(failures)} failures")
    return bool(failures)


def main(arguments):
    self_testing = "--self-test" in arguments
    roots = [a for a in arguments if not a.startswith("-")]
    root = roots[0] if roots else str(Path(__file__).resolve().parents[2])
    if self_testing:
        return self_test(root)
    findings, count = check(root)
    for path, line, rule, message in findings:
        print(f"{path}:{line}: {rule}: {message}")
    print(f"{count} files checked, {len(findings)} findings")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
