#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The package and what is in it: built, installed, upgraded and removed; mount(8), fstab, umount(8) and mounts of people who are not
root; the unit, manual pages, completions, alerts and the dashboard, the manifests.

Where something would change the machine it is done in a copy of it: an overlay over / in a mount and process namespace of its own,
that vanishes with its first process."""

import contextlib
import functools
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from rig import Rig, Skip, cached, main, program, read_file, wait_until, write_file  # noqa: E402
from environments import kubernetes_validate  # noqa: E402

TOP = os.path.abspath(os.path.join(HERE, "..", ".."))
PACKAGING = os.path.join(TOP, "packaging")
LIMIT_S = 120


def run(*command, check=True, **more):
    out = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL, **more)
    if check and out.returncode:
        raise AssertionError(f"{' '.join(command)}: exit {out.returncode}\n{out.stdout}{out.stderr}")
    return out


def needs(*tools):
    for tool in tools:
        if not shutil.which(tool):
            raise Skip(f"{tool} is not installed")


def text_of(*path):
    with open(os.path.join(PACKAGING, *path)) as f:
        return f.read()


# ---- the package ----

BUILT = []  # the folder, once it is built; removed at the end


def package():
    """The path of the package, built once."""
    needs("dpkg-buildpackage", "dh", "lintian")
    if not BUILT:
        BUILT.append(tempfile.mkdtemp(prefix="mp-"))
        run("nice", os.path.join(PACKAGING, "build-deb.sh"), BUILT[0], env=dict(os.environ, DEB_BUILD_OPTIONS="parallel=2"))
    return glob.glob(os.path.join(BUILT[0], "mangrove_*.deb"))[0]


def newer_package(folder):
    """The same, as if it were of the next version."""
    tree, deb = os.path.join(folder, "newer"), os.path.join(folder, "newer.deb")
    run("dpkg-deb", "-R", package(), tree)
    control = os.path.join(tree, "DEBIAN", "control")
    write_file(control, re.sub(rb"(?m)^Version: .*$", rb"Version: 99.0", read_file(control)))
    run("dpkg-deb", "--root-owner-group", "-b", tree, deb)
    return deb


def is_removed(group):
    """A control group can be removed when the last of its processes has really ended."""
    with contextlib.suppress(OSError):
        os.rmdir(group)
    return not os.path.exists(group)


class Machine:
    """A copy of this machine: what happens in it does not happen here. Its folders are seen from here by outside(path).

    Its first process waits for boot(), which makes systemd of it; without that it is a machine where nothing runs. /sys and
    /proc/sys are read-only: they are not of the copy."""

    SETUP = """set -e
mount -t tmpfs none "$0"
mkdir "$0/upper" "$0/work" "$0/root"
mount -t overlay none -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" "$0/root"
cd "$0/root"
rm -rf var/lib/man-db/auto-update etc/systemd/system/*.wants
ln -sf /dev/null etc/tmpfiles.d/tmp.conf # it would empty /tmp, where the test's own files are
mount -t tmpfs none dev
for device in null zero full random urandom tty; do touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
mkdir dev/pts dev/shm
mount -t devpts none dev/pts
mknod -m 666 dev/fuse c 10 229 # as udev makes it
[ ! -e /dev/autofs ] || mknod -m 600 dev/autofs c 10 235
mount -t proc none proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --bind /sys sys
mount -o remount,bind,ro sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs none run
echo ready
exec chroot . sh -c 'read boot; exec env -i container=lxc /lib/systemd/systemd --system --unit=multi-user.target'
"""

    def __init__(self, installed=True, environment=None):
        self.installed, self.environment = installed, environment or os.environ

    def __enter__(self):
        if os.geteuid():
            raise Skip("a copy of the machine is made by root only")
        deb = package() if self.installed else None
        self.folder = tempfile.mkdtemp(prefix="mm-")
        self.group = self.control_group()
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private",
             "sh", "-c", self.SETUP, self.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: write_file(os.path.join(self.group, "cgroup.procs"), b"0"))
        try:
            if self.process.stdout.readline() != "ready\n":
                raise Skip(f"no copy of this machine can be made: {self.process.stderr.read().strip()}")
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
                self.first = int(f.read().split()[0])
            wait_until(lambda: os.readlink(f"/proc/{self.first}/root") != "/", "the copy's root")
            if deb:
                self.install(deb)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        self.process.kill()  # and with it everything inside
        self.process.communicate()
        wait_until(lambda: not os.listdir(self.folder), "the end of the copy")
        os.rmdir(self.folder)
        for folder, _, _ in os.walk(self.group, topdown=False):
            wait_until(lambda folder=folder: is_removed(folder), f"the end of the processes of {folder}")

    @staticmethod
    def control_group():
        """A group of its own: systemd believes that all groups are its own."""
        with open("/proc/self/mounts") as f:
            tops = [line.split()[1] for line in f if line.split()[2] == "cgroup2"]
        if not tops:
            raise Skip("this machine has no control groups (version 2)")
        try:
            return tempfile.mkdtemp(prefix="mangrove-test-", dir=tops[0])
        except OSError as e:
            raise Skip(f"no control group can be made in {tops[0]}: {e}") from None

    def boot(self):
        self.process.stdin.write("boot\n")
        self.process.stdin.flush()
        wait_until(lambda: self.run("systemctl", "is-active", "multi-user.target", check=False).returncode == 0, "the boot")

    def journal(self):
        return self.run("journalctl", "--no-pager", "-n", "60", check=False).stdout

    def shut_down(self):
        self.run("systemctl", "--no-block", "poweroff")
        self.process.wait(LIMIT_S)

    def outside(self, path):
        return f"/proc/{self.first}/root{path}"

    def command(self, *words, user=None):
        as_user = ["runuser", "-u", user, "--"] if user else []
        return ["nsenter", "-t", str(self.first), "--mount", "--pid", "--root", "--wd=/", *as_user, *words]

    def run(self, *words, user=None, check=True):
        environment = {k: v for k, v in self.environment.items() if not k.startswith(("XDG_", "MANGROVE_B"))}
        environment.update(HOME=f"/home/{user}" if user else "/root", PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                           DEBIAN_FRONTEND="noninteractive", LC_ALL="C.UTF-8")
        return run(*self.command(*words, user=user), check=check, env=environment)

    def sh(self, script, user=None, check=True):
        return self.run("sh", "-c", script, user=user, check=check)

    def install(self, deb):
        shutil.copy(deb, self.outside("/root/package.deb"))
        self.run("dpkg", "-i", "/root/package.deb")
        os.unlink(self.outside("/root/package.deb"))

    def volume(self, *options, owner=None, stores=None):
        self.sh("mkdir -p /srv/stores/aws /srv/stores/azure /srv/stores/google /mnt/demo")
        if owner:
            self.sh(f"chown {owner} /srv/stores/* /mnt/demo")
        stores = stores or {name: f"file:///srv/stores/{name}" for name in ("aws", "azure", "google")}
        words = [word for name, url in stores.items() for word in ("--store", f"{name}={url}")]
        self.run("mangrove", "format", "demo", *words, *options, user=owner)

    def fstab(self, options, volume="demo", folder="/mnt/demo"):
        write_file(self.outside("/etc/fstab"), f"{volume} {folder} mangrove {options} 0 0\n".encode())

    def daemons(self):
        """By the program that runs: a helper of mount(8) keeps its name when it becomes the daemon."""
        return self.sh('for p in /proc/[0-9]*; do case "$(readlink "$p/exe")" in /usr/bin/mangrove*) echo "${p#/proc/}";; esac; '
                       'done').stdout.split()

    def signal_daemon(self, name):
        (pid,) = self.daemons()
        self.run("kill", f"-{name}", pid)

    def left_over(self):
        """What the copy has and this machine has not, and is called after us."""
        found = self.run("find", "/etc", "/usr", "/var", "/home", "/srv", "-xdev", "-iname", "*mangrove*").stdout.split()
        return [p for p in found if not os.path.lexists(p)]


def test_the_package_is_clean():
    deb = package()
    out = run("lintian", "--fail-on", "error,warning,info", "--allow-root", *glob.glob(os.path.join(BUILT[0], "*.changes")), check=False,
              env=dict(os.environ, TMPDIR=BUILT[0]))  # it leaves files behind
    assert out.returncode == 0, out.stdout + out.stderr
    listed = run("dpkg", "-c", deb).stdout
    for path in ("/usr/bin/mangrove", "/usr/sbin/mount.mangrove ->", "/usr/sbin/umount.fuse.mangrove ->",
                 "/usr/lib/systemd/system/mangrove@.service", "/usr/share/man/man8/mount.mangrove.8.gz",
                 "/usr/share/bash-completion/completions/mangrove", "/usr/share/doc/mangrove/examples/fstab"):
        assert path in listed, f"{path} is not in the package:\n{listed}"


def test_installed_upgraded_removed():
    with Machine(installed=False) as machine:
        before = machine.left_over()
        machine.install(package())
        assert machine.run("mangrove", "--version").stdout.startswith("mangrove ")
        machine.run("dpkg", "--verify", "mangrove")
        machine.volume("--key-file", "/etc/mangrove/demo.key")
        machine.run("mount", "-t", "mangrove", "demo", "/mnt/demo")
        machine.sh("echo before >/mnt/demo/file")
        # A running mount outlives an upgrade, and forbids a removal.
        machine.install(newer_package(BUILT[0]))
        assert machine.sh("cat /mnt/demo/file").stdout == "before\n"
        out = machine.run("dpkg", "--remove", "mangrove", check=False)
        assert out.returncode and "/mnt/demo" in out.stderr, out
        machine.run("umount", "/mnt/demo")
        machine.run("dpkg", "--remove", "mangrove")
        assert machine.run("dpkg", "--purge", "mangrove").stdout.count("/etc/mangrove is kept"), "the keys"
        assert sorted(set(machine.left_over()) - set(before)) == ["/etc/mangrove"], machine.left_over()
        assert sorted(os.listdir(machine.outside("/etc/mangrove"))) == ["demo.conf", "demo.key"]
        # Where nobody made a volume nothing stays.
        machine.sh("rm -r /etc/mangrove")
        machine.install(package())
        machine.run("dpkg", "--purge", "mangrove")
        assert machine.left_over() == before, machine.left_over()


# ---- mount, fstab, umount ----


def test_mount_findmnt_df_umount():
    with Machine() as machine:
        machine.volume("--key-file", "/etc/mangrove/demo.key")
        machine.run("mount", "-t", "mangrove", "demo", "/mnt/demo", "-o", "noatime,allow_other,cache_size=1G")
        source, kind, options = machine.run("findmnt", "-nro", "SOURCE,FSTYPE,OPTIONS", "/mnt/demo").stdout.split()
        assert (source, kind) == ("demo", "fuse.mangrove") and {"noatime", "allow_other", "rw"} <= set(options.split(",")), options
        assert "/mnt/demo" in machine.run("df", "-t", "fuse.mangrove").stdout
        machine.sh("cp -r /etc/default /mnt/demo/ && diff -r /etc/default /mnt/demo/default")
        assert len(machine.daemons()) == 1
        machine.run("umount", "/mnt/demo")
        assert not machine.daemons(), "umount returned before the end of the daemon"
        out = machine.run("mount", "-t", "mangrove", "demo", "/mnt/demo", "-o", "alow_other", check=False)
        assert out.returncode and "did you mean 'allow_other'" in out.stderr, out
        machine.run("mount", "-r", "-t", "mangrove", "/etc/mangrove/demo.conf", "/mnt/demo")
        out = machine.sh("diff -r /etc/default /mnt/demo/default && touch /mnt/demo/new", check=False)
        assert out.returncode and "Read-only" in out.stderr, out
        machine.run("umount", "/mnt/demo")


def test_fstab():
    with Machine() as machine:
        machine.volume("--key-file", "/etc/mangrove/demo.key")
        machine.fstab("_netdev,nofail,x-systemd.automount,x-systemd.mount-timeout=10min,allow_other")
        machine.run("mount", "-a")
        machine.run("mount", "-a")  # it is there: nothing to do
        assert machine.sh("grep -c ' /mnt/demo ' /proc/self/mounts").stdout == "1\n"
        machine.sh("echo kept >/mnt/demo/file")
        machine.run("umount", "-a", "-t", "fuse.mangrove")
        assert not machine.daemons()
        # Another table; and stores that are away at boot and come later.
        machine.sh("mv /etc/fstab /root/table; mv /srv/stores /srv/away")
        out = machine.run("mount", "-T", "/root/table", "/mnt/demo", check=False)
        assert out.returncode and "store" in out.stderr, out
        machine.sh("mv /srv/away /srv/stores")
        machine.run("mount", "-T", "/root/table", "/mnt/demo")
        assert machine.sh("cat /mnt/demo/file").stdout == "kept\n"
        # A daemon that was killed: mounted anew on the same spot.
        machine.signal_daemon("KILL")
        machine.run("mount", "-T", "/root/table", "/mnt/demo")
        assert machine.sh("cat /mnt/demo/file").stdout == "kept\n"
        machine.run("umount", "/mnt/demo")


@contextlib.contextmanager
def hanging(rig, *names):
    servers = [rig.servers[name].process for name in names]
    for server in servers:
        server.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for server in servers:
            server.send_signal(signal.SIGCONT)


def test_umount_waits_for_what_was_written():
    """With two stores that hang, and until they are back."""
    with Rig("standin", formatted=False) as rig, Machine(environment=rig.env) as machine, contextlib.ExitStack() as stack:
        machine.volume("--key-file", "/etc/mangrove/demo.key", stores=rig.stores)
        machine.run("mount", "-t", "mangrove", "demo", "/mnt/demo")

        def start(*words):
            process = subprocess.Popen(machine.command(*words), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        with hanging(rig, "azure", "google"):
            writer = start("sh", "-c", "head -c 1000000 /dev/urandom >/mnt/demo/file")
            wait_until(lambda: json.loads(machine.run("mangrove", "status", "--json", check=False).stdout)["pending"]["dirty_bytes"],
                       "something to upload")
            umount = start("umount", "/mnt/demo")
            time.sleep(2)
            assert umount.poll() is None, f"umount did not wait: {umount.stderr.read()}"
            assert machine.run("mountpoint", "-q", "/mnt/demo")
        assert umount.wait(LIMIT_S) == 0, umount.stderr.read()
        assert writer.wait(LIMIT_S) == 0, writer.stderr.read()
        assert not machine.daemons()
        machine.run("mount", "-t", "mangrove", "demo", "/mnt/demo")
        assert machine.run("stat", "-c", "%s", "/mnt/demo/file").stdout == "1000000\n"
        machine.run("umount", "/mnt/demo")


def test_a_mount_of_somebody_who_is_not_root():
    with Machine() as machine:
        machine.sh("useradd -m -k /dev/null anna; useradd -m -k /dev/null otto")
        machine.volume("--key-file", "/home/anna/key", owner="anna")
        assert os.path.exists(machine.outside("/home/anna/.config/mangrove/demo.conf"))
        machine.fstab("noauto,user,_netdev")
        machine.run("mount", "/mnt/demo", user="anna")
        options = machine.run("findmnt", "-nro", "OPTIONS", "/mnt/demo").stdout.split(",")
        assert {"nosuid", "nodev"} <= set(options), options
        machine.sh("echo hers >/mnt/demo/file; mangrove status /mnt/demo", user="anna")
        assert machine.run("cat", "/mnt/demo/file", user="otto", check=False).returncode, "without allow_other it is for her alone"
        assert machine.run("umount", "/mnt/demo", user="otto", check=False).returncode, "somebody else's mount"
        assert machine.run("cat", "/mnt/demo/file", user="anna").stdout == "hers\n"
        machine.run("umount", "/mnt/demo", user="anna")
        assert not machine.daemons()
        # Without fstab, on a folder of one's own.
        machine.sh("mkdir /home/anna/demo && mangrove mount demo /home/anna/demo && cat /home/anna/demo/file && "
                   "mangrove umount /home/anna/demo", user="anna")


def test_the_unit():
    with Machine() as machine:
        unit = "/usr/lib/systemd/system/mangrove@.service"
        text = read_file(machine.outside(unit)).decode()
        if os.path.exists("/usr/bin/systemd-analyze"):
            machine.sh(f"ln -s {unit} /run/mangrove@demo.service")
            out = machine.run("systemd-analyze", "verify", "--man=no", "/run/mangrove@demo.service", check=False)
            assert "mangrove" not in out.stderr, out.stderr
        # What it starts and stops, as systemd would.
        machine.volume("--key-file", "/etc/mangrove/demo.key")
        machine.sh("rmdir /mnt/demo")
        values = dict(word.split("=", 1) for word in re.search(r"^Environment=(.*)$", text, re.M).group(1).split())
        commands = re.findall(r"^(Exec\w+)=-?(.*)$", text, re.M)
        assert [kind for kind, _ in commands] == ["ExecStartPre", "ExecStart", "ExecStop"]
        for kind, command in commands:
            words = [re.sub(r"\$\{(\w+)\}", lambda m: values[m.group(1)], w).replace("%i", "demo") for w in command.split()]
            machine.run(*words)
            if kind == "ExecStart":
                assert len(machine.daemons()) == 1 and machine.run("findmnt", "/mnt/demo")
        assert not machine.daemons()


def test_what_systemd_makes_of_fstab():
    generator = "/usr/lib/systemd/system-generators/systemd-fstab-generator"
    if not os.path.exists(generator):
        raise Skip("systemd is not installed")
    lines = [line for line in text_of("examples", "fstab").splitlines() if line.startswith("demo")]
    assert len(lines) == 4
    with tempfile.TemporaryDirectory() as folder:
        for line in lines:
            out = os.path.join(folder, str(len(os.listdir(folder))))
            os.mkdir(out)
            write_file(out + ".tab", line.encode() + b"\n")
            run(generator, out, out, out, env=dict(os.environ, SYSTEMD_FSTAB=out + ".tab"))
            mount = read_file(os.path.join(out, "mnt-demo.mount")).decode()
            assert "What=demo\nWhere=/mnt/demo\nType=mangrove\n" in mount, mount
            assert ("x-systemd.automount" in line) == os.path.exists(os.path.join(out, "mnt-demo.automount")), line
            assert "Before=local-fs.target" not in mount, f"not ordered as a network filesystem: {mount}"
            assert ("TimeoutSec=10min" in mount) == ("mount-timeout" in line), mount


def test_boot_and_shutdown():
    """systemd as the first process of the copy. The stores are out of reach at first; a shutdown waits for what was written."""
    if not os.path.exists("/lib/systemd/systemd"):
        raise Skip("systemd is not installed")
    with Rig("standin") as rig:
        with Machine(environment=rig.env) as machine:
            machine.sh("mkdir -p /mnt/auto /mnt/first")
            for path in (rig.key, rig.config):
                shutil.copy(path, machine.outside("/etc/mangrove/"))
            environment = [f"{k}={v}" for k, v in rig.env.items() if k.startswith(("AWS_", "AZURE_", "GOOGLE_"))]
            write_file(machine.outside("/etc/mangrove/volume.env"),
                       "\n".join([*environment, "MANGROVE_DIR=/mnt/unit", "MANGROVE_OPTIONS=listen=none,deadline=3s"]).encode())
            machine.sh("mkdir /etc/systemd/system.conf.d /etc/systemd/system/multi-user.target.wants")
            write_file(machine.outside("/etc/systemd/system.conf.d/access.conf"),
                       f"[Manager]\nDefaultEnvironment={' '.join(environment)}\n".encode())
            machine.fstab("_netdev,nofail,x-systemd.automount,x-systemd.mount-timeout=10min,listen=none,deadline=3s,"
                          "cache_dir=/var/cache/mangrove/auto", "volume", "/mnt/auto")
            machine.run("systemctl", "enable", "remote-fs.target", "mangrove@volume")
            for server in rig.servers.values():
                server.fault(op="any", fault="refuse", count=0)
            try:
                machine.boot()
                assert machine.run("systemctl", "is-active", "mnt-auto.automount").stdout == "active\n"
                wait_until(lambda: "auto-restart" in machine.run("systemctl", "show", "mangrove@volume").stdout, "a first try in vain")
                assert machine.run("ls", "/mnt/auto/.", check=False).returncode
            finally:
                for server in rig.servers.values():
                    server.clear()
            wait_until(lambda: machine.run("systemctl", "is-active", "mangrove@volume", check=False).returncode == 0, "the unit")
            machine.sh("echo unit >/mnt/unit/file")
            machine.run("systemctl", "stop", "mangrove@volume")
            assert machine.sh("cat /mnt/auto/file").stdout == "unit\n"
            assert len(machine.daemons()) == 1
            machine.sh("head -c 5000000 /dev/zero >/mnt/auto/large; echo shutdown >/mnt/auto/file")
            machine.shut_down()
        mount = rig.mount()
        assert read_file(mount.path("file")) == b"shutdown\n" and os.path.getsize(mount.path("large")) == 5000000


# ---- manual pages and completions ----


@functools.cache
def page(name, section):
    """The text of an installed page, as the reader sees it; a link leads to the page it names."""
    links = dict(re.findall(r"'([\w.-]+)': '([\w.-]+)'", text_of("meson.build")))
    path = os.path.join(PACKAGING, "man", f"{links.get(name, name)}.{section}")
    assert os.path.exists(path), f"{name}({section}) has no page in packaging/man"
    text = run("mandoc", "-T", "ascii", "-O", "width=300", path).stdout
    return re.sub(".\x08", "", text)


@functools.cache
def commands():
    return re.findall(r"^  ([a-z][a-z-]*) ", run(program(), "--help").stdout, re.M)


def test_manual_pages():
    needs("mandoc")
    out = run("mandoc", "-T", "lint", "-W", "warning", *sorted(glob.glob(os.path.join(PACKAGING, "man", "*"))), check=False)
    assert out.returncode == 0, out.stdout
    for command in commands():
        overview = page("mangrove", 1)
        assert re.search(rf"\b{command}\b", overview), f"mangrove(1) does not name {command}"
        if command == "version":
            continue
        text = page(f"mangrove-{command}", 1)
        said = run(program(), command, "--help").stdout
        missing = {o for o in re.findall(r"(?<![\w-])--[a-z][a-z-]*", said) if not re.search(rf"{o}(?![\w-])", text)}
        assert not missing, f"mangrove-{command}(1) lacks {missing}"


def test_every_key_of_the_configuration():
    needs("mandoc")
    text, section, keys = page("mangrove.conf", 5), "", []
    for line in run(program(), "config", "--explain").stdout.splitlines():
        if line.startswith("["):
            section = line
            continue
        keys.append(line.split()[0])
        part = text[text.index("   " + section):].split("\n   [")[0]
        described = re.search(rf"^     {keys[-1]}\b.*(\n( {{8}}.*)?)*", part, re.M)
        assert described, f"mangrove.conf(5): {section} lacks {keys[-1]}"
        default = re.search(r"\(default (.*)\)$", line)
        assert not default or f"Default: {default.group(1)}" in described.group(0), f"{keys[-1]}: {default.group(0)} is not said"
    listed = set(re.findall(r"^     ([a-z_]+)(?=\n|  )", text[text.index("[volume]"):text.index("EXAMPLES")], re.M))
    assert listed == set(keys), f"mangrove.conf(5) and the program differ: {listed ^ set(keys)}"


def mount_options():
    """From the table of fs/options.c: the name, and whether it is for others than this program."""
    with open(os.path.join(TOP, "fs", "options.c")) as f:
        return dict(re.findall(r'^\t\{ "(\w+)", OPTION_(\w+),', f.read(), re.M))


def test_every_mount_option():
    needs("mandoc")
    options, text = mount_options(), page("mount.mangrove", 8)
    text = text[text.index("\nOPTIONS"):text.index("\nEXAMPLES")]
    assert len(options) > 40, options
    missing = [name for name in options if not re.search(rf"(?<![\w.]){name}(?!\w)", text)]
    assert not missing, f"mount.mangrove(8) lacks {missing}"
    described = set(re.findall(r"(\w+)(?==)", " ".join(re.findall(r"^     (\S.*)$", text, re.M))))
    assert described <= set(options), f"mount.mangrove(8) describes {described - set(options)}"


def complete(folder, *words):
    script = f"""source {PACKAGING}/completions/mangrove.bash
compopt() {{ :; }}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_mangrove
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    path = os.path.dirname(program()) + ":" + os.environ["PATH"]
    return run("bash", "-c", script, "bash", "mangrove", *words, cwd=folder,
               env=dict(os.environ, PATH=path, HOME=folder, XDG_CONFIG_HOME=os.path.join(folder, "config"))).stdout.split()


def test_completion():
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(os.path.join(folder, "config", "mangrove"))
        write_file(os.path.join(folder, "config", "mangrove", "demo.conf"), b"")
        os.mkdir(os.path.join(folder, "place"))
        assert set(complete(folder, "")) >= set(commands())
        assert complete(folder, "umo") == ["umount"]
        assert "--wait" in complete(folder, "status", "--")
        assert "demo" in complete(folder, "mount", "")
        assert complete(folder, "mount", "demo", "p") == ["place"]
        assert complete(folder, "mount", "demo", "place", "-o", "ro,allow_o") == ["ro,allow_other"]
        assert complete(folder, "drill", "aws", "--mode", "s") == ["slow"]
        offered = {word.partition("=")[0] for word in complete(folder, "mount", "demo", "place", "-o", "")}
        ours = {name for name, kind in mount_options().items() if not kind.startswith("IGNORED")} | {"rw"}
        assert offered == ours, f"completions/mangrove.bash and the program differ: {offered ^ ours}"
    if shutil.which("zsh"):
        run("zsh", "-n", os.path.join(PACKAGING, "completions", "_mangrove"))


# ---- monitoring ----


def prometheus(tool):
    """prometheus or promtool: installed, or out of Debian's package, which is unpacked and not installed (it would start a server)."""
    if shutil.which(tool):
        return shutil.which(tool)
    folder = cached("prometheus")
    path = os.path.join(folder, "usr", "bin", tool)
    if not os.path.exists(path):
        needs("apt-get", "dpkg-deb")
        fetch = ["apt-get", "download", "-q", "prometheus"]
        if run(*fetch, check=False, cwd=folder).returncode:
            run("apt-get", "update", "-q", check=False)
            if run(*fetch, check=False, cwd=folder).returncode:
                raise Skip(f"{tool}: Debian's package prometheus cannot be fetched")
        deb = glob.glob(os.path.join(folder, "prometheus_*.deb"))[0]
        run("dpkg-deb", "-x", deb, folder)
        os.unlink(deb)
    return path


def get(address, path):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=LIMIT_S) as answer:
        return answer.read().decode()


def families(metrics):
    return set(re.findall(r"^# TYPE (\w+) ", metrics, re.M))


def queries_of_board():
    board = json.loads(text_of("grafana", "mangrove.json"))
    assert len({p["id"] for p in board["panels"]}) == len(board["panels"])
    rows = [(p["title"], t["expr"]) for p in board["panels"] for t in p["targets"]]
    variables = [v["query"]["query"] for v in board["templating"]["list"] if v["type"] == "query"]
    return rows + [("a variable", re.sub(r"label_values\((.*), \w+\)", r"\1", text)) for text in variables]


def unknown_metrics(expression, known):
    named = set(re.findall(r"\bmangrove_\w+", expression))
    assert named, expression
    return {name for name in named if name not in known and re.sub(r"_(bucket|sum|count)$", "", name) not in known}


@contextlib.contextmanager
def busy_mount():
    """A mount on which something has happened of everything that is counted."""
    with Rig() as rig:
        mount = rig.mount("listen=127.0.0.1:0")
        write_file(mount.path("f"), os.urandom(3 << 20), sync=True)
        os.rename(mount.path("f"), mount.path("g"))
        read_file(mount.path("g"))
        yield rig, mount.status()["mount"]["listen"]


def test_metrics_alerts_and_dashboard():
    promtool = prometheus("promtool")
    folder = os.path.join(PACKAGING, "prometheus")
    run(promtool, "check", "config", os.path.join(folder, "prometheus.yml"))
    run(promtool, "test", "rules", "alerts_test.yml", cwd=folder)
    with busy_mount() as (_, address):
        metrics = get(address, "/metrics")
    out = subprocess.run([promtool, "check", "metrics"], input=metrics, capture_output=True, text=True)
    assert out.returncode == 0 and not out.stderr.strip(), out.stdout + out.stderr
    known = families(metrics)
    alerts = re.findall(r"alert: (\w+)\n +expr: (.*)\n", text_of("prometheus", "alerts.yml"))
    tested = text_of("prometheus", "alerts_test.yml")
    assert len(alerts) >= 10
    for name, expression in alerts:
        assert "mangrove_" not in expression or not unknown_metrics(expression, known), f"{name}: {unknown_metrics(expression, known)}"
        assert tested.count(f"alertname: {name}") >= 2, f"{name} has no test that it fires and that it does not"
    for title, expression in queries_of_board():
        assert not unknown_metrics(expression, known), f"{title}: {unknown_metrics(expression, known)}"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def scraping(target, folder):
    """A Prometheus with our rules that scrapes a mount; its address."""
    address = f"127.0.0.1:{free_port()}"
    config = text_of("prometheus", "prometheus.yml").replace("127.0.0.1:9464", target).replace("scrape_interval: 15s", "scrape_interval: 1s")
    config = config.replace("alerts.yml", os.path.join(PACKAGING, "prometheus", "alerts.yml"))
    path = os.path.join(folder, "prometheus.yml")
    write_file(path, f"global: {{evaluation_interval: 1s}}\n{config}".encode())
    with open(os.path.join(folder, "prometheus.log"), "w") as log:
        server = subprocess.Popen([prometheus("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={folder}/data",
                                   f"--web.listen-address={address}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(LIMIT_S)


def ask(address, expression):
    answer = json.loads(get(address, "/api/v1/query?" + urllib.parse.urlencode({"query": expression})))
    assert answer["status"] == "success", answer
    return answer["data"]["result"]


def test_a_real_prometheus():
    prometheus("prometheus")
    with busy_mount() as (rig, target), tempfile.TemporaryDirectory() as folder, scraping(target, folder) as address:

        def up():
            with contextlib.suppress(OSError):
                return ask(address, 'up{job="mangrove"} == 1')
        wait_until(up, "the mount is scraped")
        values = {"$instance": ".*", "$volume": ".*", "$__rate_interval": "1m"}
        for title, expression in queries_of_board():
            for name, value in values.items():
                expression = expression.replace(name, value)
            ask(address, expression)
            plain = "mangrove_" in expression and "rate(" not in expression and "increase(" not in expression
            assert not plain or ask(address, expression), f"{title}: no data for {expression}"
        os.rename(rig.folder("azure"), rig.folder("azure") + ".away")
        wait_until(lambda: ask(address, 'ALERTS{alertname="MangroveStoreDown", store="azure"}'), "the alert is pending")
        os.rename(rig.folder("azure") + ".away", rig.folder("azure"))


def test_monthly_drill():
    """The script as cron runs it; the pages' programs are programs; and no drill while something really fails."""
    for name in ("drills.md", "feed.md"):
        with open(os.path.join(TOP, "docs", name)) as f:
            compile(re.search(r"```python\n(.*?)```", f.read(), re.S).group(1), name, "exec")
    script = os.path.join(PACKAGING, "examples", "monthly-drill")
    with Rig() as rig:
        mount = rig.mount()
        environment = dict(rig.env, PATH=os.path.dirname(rig.mangrove) + ":" + rig.env["PATH"])
        write_file(mount.path("f"), os.urandom(1 << 20), sync=True)
        mount.wait_healthy()
        reports = run(script, mount.dir, "2s", "down", env=environment).stdout
        reports = [json.loads(text + "}") for text in reports.strip().split("}")[:-1]]
        assert [r["store"] for r in reports] == ["aws", "azure", "google"] and all(r["recovered"] for r in reports), reports
        os.rename(rig.folder("azure"), rig.folder("azure") + ".away")
        wait_until(lambda: mount.store("azure")["state"] == "down", "the failure")
        out = run(script, mount.dir, "2s", env=environment, check=False)
        assert out.returncode == 3 and "no drill" in out.stderr, out
        os.rename(rig.folder("azure") + ".away", rig.folder("azure"))


# ---- containers ----


def test_kubernetes_manifests():
    manifests = sorted(glob.glob(os.path.join(PACKAGING, "kubernetes", "*.yaml")))
    assert len(manifests) == 3
    run(kubernetes_validate(), "--strict", *manifests)
    with tempfile.TemporaryDirectory() as folder:  # the checker checks
        bad = os.path.join(folder, "bad.yaml")
        write_file(bad, text_of("kubernetes", "pod.yaml").replace("mountPath", "mountpath").encode())
        assert run(kubernetes_validate(), "--strict", bad, check=False).returncode
    daemon = text_of("kubernetes", "daemonset.yaml")
    options = re.search(r"^ +- (allow_other,\S+)$", daemon, re.M).group(1)
    with Rig() as rig:  # the options of the DaemonSet are options
        names = {word.partition("=")[0] for word in options.split(",")}
        assert names <= set(mount_options()), names
        config = re.search(r"demo.conf: \|\n((?:    .*\n|\n)+)", text_of("kubernetes", "secret.yaml")).group(1)
        write_file(os.path.join(rig.tmp, "demo.conf"), re.sub("(?m)^    ", "", config).encode())
        assert "3 stores" in rig.run("config", os.path.join(rig.tmp, "demo.conf")).stdout


def test_the_container():
    """Without a registry no image can be made here: what it copies is there, and its last step is tried in a copy of this machine."""
    recipe = re.sub(r"\\\n", "", text_of("container", "Dockerfile"))
    for source in re.findall(r"^COPY (?!--from)(\S+) ", recipe, re.M):
        assert os.path.exists(os.path.join(TOP, source)), source
    steps = re.findall(r"^RUN (.*)$", recipe, re.M)
    assert len(steps) == 2 and steps[0].split()[0] == "/src/packaging/build-deb.sh", steps
    with Machine() as machine:
        machine.volume("--key-file", "/etc/mangrove/demo.key")
        shutil.copy(os.path.join(PACKAGING, "container", "entrypoint.sh"), machine.outside("/usr/local/bin/mangrove-mount"))
        pod = subprocess.Popen(machine.command("mangrove-mount", "demo", "/var/lib/mangrove/demo", "-o", "allow_other,listen=none"),
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            wait_until(lambda: machine.run("mountpoint", "-q", "/var/lib/mangrove/demo", check=False).returncode == 0, "the mount")
            machine.sh("echo kept >/var/lib/mangrove/demo/file")
            machine.signal_daemon("TERM")
            assert pod.wait(LIMIT_S) == 0
        finally:
            pod.kill()
            pod.communicate()
        assert machine.run("mountpoint", "-q", "/var/lib/mangrove/demo", check=False).returncode
        machine.sh("mangrove mount demo /mnt/demo && grep -q kept /mnt/demo/file && mangrove umount /mnt/demo")


if __name__ == "__main__":
    try:
        main()
    finally:
        for built in BUILT:
            shutil.rmtree(built, ignore_errors=True)
