"""A clean Debian for the tests of the package: made once by debootstrap, kept outside of the tree, copied for each run.

`Booted` boots it in systemd-nspawn, with a network of its own: the units run as they will on a server. Where that is
not to be had, `Chroot` runs commands in it, and systemctl is a stand-in that starts what the unit says.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

PATIENCE = 120.0  # seconds
# What the tests use besides the package and what it depends on.
WITH = "systemd-sysv,dbus,curl"
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
               "HOME": "/root", "TERM": "dumb", "LC_ALL": "C.UTF-8"}


class NotHere(Exception):
    """What the tests need is not to be had on this machine."""


def eventually(get, what):
    deadline = time.monotonic() + PATIENCE
    while not get():
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {PATIENCE:.0f} s: {what}")
        time.sleep(0.1)


def run(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)


def need(*command, **options):
    try:
        done = run(*command, timeout=600, **options)
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise NotHere(f"{command[0]}: {failure}") from None
    if done.returncode != 0:
        raise NotHere(f"{' '.join(map(str, command))}:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def codename():
    for line in pathlib.Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.split("=")[1].strip('"')
    raise NotHere("/etc/os-release names no release")


def mirror(release):
    """Where this machine's apt gets the release from."""
    found = need("apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages", f"Codename: {release}",
                 "Component: main").split()
    if not found:
        raise NotHere(f"apt knows no mirror of {release}")
    return found[0]


def clean_debian():
    """The folder of a Debian that nobody has touched."""
    if os.geteuid() != 0:
        raise NotHere("only root can make a chroot")
    release = codename()
    cache = pathlib.Path(tempfile.gettempdir()) / "tallygate-debian"
    cache.mkdir(mode=0o700, exist_ok=True)
    if cache.stat().st_uid != 0 or cache.stat().st_mode & 0o022:
        raise NotHere(f"{cache} is not ours")
    base = cache / release
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not base.exists():
            draft = cache / "draft"
            shutil.rmtree(draft, ignore_errors=True)
            need("debootstrap", "--variant=minbase", f"--include={WITH}", release, draft, mirror(release))
            draft.rename(base)
    return base


class Machine:
    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="tallygate-machine-"))
        need("cp", "-a", f"{clean_debian()}/.", self.root)
        self.root.chmod(0o755)
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        # Answers are those that a prompt takes by default, and nothing waits for a disk.
        (self.root / "etc/apt/apt.conf.d/90test").write_text(
            'APT::Get::Assume-Yes "true"; Dpkg::Use-Pty "false"; Dpkg::Options {"--force-confdef"; "--force-unsafe-io";};\n')

    def put(self, source, path):
        shutil.copy(source, self.root / path.lstrip("/"))

    def path(self, path):
        return self.root / path.lstrip("/")

    def fetch_dependencies(self, package):
        """What the package depends on is downloaded: with the network of this machine, and once."""
        with self.proc():
            need("chroot", self.root, "apt-get", "update", "-q", env=ENVIRONMENT)
            need("chroot", self.root, "apt-get", "install", "-q", "--download-only", package,
                 env=ENVIRONMENT)

    @contextlib.contextmanager
    def proc(self):
        need("mount", "-t", "proc", "proc", self.root / "proc")
        try:
            yield
        finally:
            need("umount", "-l", self.root / "proc")

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


class Booted(Machine):
    is_booted = True

    def boot(self):
        log = open(self.root.with_suffix(".log"), "wb")
        with log:
            self.process = subprocess.Popen(
                ["unshare", "-m", "systemd-nspawn", "-q", "-D", str(self.root), "--register=no", "--keep-unit",
                 "--private-network", "--console=pipe", "-b"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

        def is_up():
            if self.process.poll() is not None:
                return True
            return self.sh("systemctl is-active multi-user.target", check=False)[0] == 0

        try:
            eventually(is_up, "the container has not booted")
        except AssertionError as failure:
            raise NotHere(str(failure)) from None
        if self.process.poll() is not None:
            raise NotHere("systemd-nspawn: " + self.root.with_suffix(".log").read_text(errors="replace")[-1000:])

    def init(self):
        """The process id of its systemd; None while there is none."""
        try:
            pid = self.process.pid
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except FileNotFoundError:
            return None
        return children[-1] if children else None

    def sh(self, command, check=True):
        """Runs it as root, in /root; its exit code and all that it said."""
        init = self.init()
        if init is None:
            return 1, "there is no container"
        done = run("nsenter", "-t", init, "-m", "-u", "-i", "-n", "-p", "-r", "-w", "env", "-i", "-C", "/root",
                   *(f"{name}={value}" for name, value in ENVIRONMENT.items()), "bash", "-c", command, timeout=300)
        said = done.stdout + done.stderr
        if check and done.returncode != 0:
            raise AssertionError(f"{command}\nexited with {done.returncode}:\n{said}\n{self.journal()}")
        return done.returncode, said

    def journal(self):
        return self.sh("journalctl -u tallygate --no-pager | tail -50", check=False)[1]

    def apt(self, command):
        return self.sh(command)

    def remove(self):
        process = getattr(self, "process", None)
        if process is not None:
            process.terminate()  # systemd-nspawn then shuts the container down
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self.root.with_suffix(".log").unlink(missing_ok=True)
        super().remove()


# Does for tallygate.service what systemd would, as far as these tests see it.
SYSTEMCTL = r"""#!/bin/bash
unit=/lib/systemd/system/tallygate.service
pid=/run/stand-in.pid
log=/var/log/journal.stand-in
of() { sed -n "s/^$1=//p" $unit; }
as_the_user() { exec setpriv --reuid="$(of User)" --regid="$(of Group)" --clear-groups --no-new-privs -- "$@"; }
is_active() { [ -e $pid ] && readlink "/proc/$(cat $pid)/exe" >/dev/null; }  # not of a zombie
start() {
  is_active && return
  (as_the_user $(of ExecStart)) </dev/null >>$log 2>&1 &
  echo $! >$pid
  until curl -s --unix-socket /run/tallygate/admin.sock http://localhost/healthz >/dev/null; do
    is_active || { tail $log >&2; return 1; }
    sleep 0.1
  done
}
stop() { is_active && kill "$(cat $pid)"; while is_active; do sleep 0.1; done; rm -f $pid; }
case "$1" in
  start) start ;;
  stop) stop ;;
  restart) stop; start ;;
  reload) (as_the_user $(of ExecReload)) ;;
  is-active) is_active && echo active ;;
  status) is_active && tail $log ;;
esac
"""


class Chroot(Machine):
    is_booted = False

    def boot(self):
        """Holds a process whose mounts, network and process ids are those of the machine."""
        self.path("/usr/local/sbin/systemctl").write_text(SYSTEMCTL)
        self.path("/usr/local/sbin/journalctl").write_text("#!/bin/sh\ncat /var/log/journal.stand-in\n")
        for name in "systemctl", "journalctl":
            self.path(f"/usr/local/sbin/{name}").chmod(0o755)
        # Its first words come when all is in place.
        self.process = subprocess.Popen(
            ["unshare", "-m", "-n", "-p", "-i", "-u", "-f", "--kill-child", "bash", "-ec",
             'ip link set lo up || true; mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"; echo; sleep inf',
             "bash", str(self.root)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        if not self.process.stdout.readline():
            raise NotHere("no namespaces of our own")

    def sh(self, command, check=True):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        done = run("nsenter", "-t", children[0], "-m", "-u", "-i", "-n", "-p", "chroot", self.root, "env", "-i",
                   *(f"{name}={value}" for name, value in ENVIRONMENT.items()), "bash", "-c", f"cd /root; {command}",
                   timeout=300)
        said = done.stdout + done.stderr
        if check and done.returncode != 0:
            raise AssertionError(f"{command}\nexited with {done.returncode}:\n{said}\n{self.journal()}")
        return done.returncode, said

    def journal(self):
        return self.sh("tail -50 /var/log/journal.stand-in", check=False)[1]

    def apt(self, command):
        """What the package's scripts leave to systemd is done around it."""
        if "remove" in command or "purge" in command:
            self.sh("systemctl stop", check=False)
        said = self.sh(command)
        if "install" in command:
            self.sh("systemctl restart")
        return said

    def remove(self):
        process = getattr(self, "process", None)
        if process is not None:
            self.sh("systemctl stop", check=False)
            process.kill()  # and with it everything in its namespace of processes
            process.wait()
            process.stdout.close()
        super().remove()


def new_machine(package):
    """A machine that runs, with what the package depends on at hand."""
    kinds = [Chroot] if os.environ.get("TALLYGATE_MACHINE") == "chroot" else [Booted, Chroot]
    for kind in kinds:
        machine = kind()
        try:
            machine.put(package, "/root/package.deb")
            machine.fetch_dependencies("/root/package.deb")
            machine.path("/root/package.deb").unlink()
            machine.boot()
            return machine
        except NotHere as failure:
            machine.remove()
            print(f"{kind.__name__}: {failure}", flush=True)
            last = failure
        except BaseException:
            machine.remove()
            raise
    raise last
