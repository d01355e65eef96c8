"""What measuring does with the machine: cores, a network of its own, descriptors, a slow disk."""

import ctypes
import fcntl
import os
import pathlib
import platform
import resource
import signal
import socket
import struct
import subprocess

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

# Debian's. Congestion control and buffer sizes of the machine would otherwise be measured along.
CONGESTION_CONTROL = "cubic"
NETWORK = {
    "tcp_rmem": "4096 131072 6291456",
    "tcp_wmem": "4096 16384 4194304",
    "ip_local_port_range": "1024 65535",
}


def own_network():
    """Moves this process into a network of its own and says what it is like; or why it is not."""
    if LIBC.unshare(CLONE_NEWNET) != 0:
        return f"the machine's own network: {os.strerror(ctypes.get_errno())}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
    refused = []
    for name, value in NETWORK.items():
        try:
            pathlib.Path("/proc/sys/net/ipv4", name).write_text(value)
        except OSError:
            refused.append(name)
    # A kernel may keep the default to what its administrator allows; a route may name any.
    for destination in ("127.0.0.0/8", "127.0.0.1"):
        _first_line(["ip", "route", "replace", "local", destination, "dev", "lo", "table", "local",
                     "src", "127.0.0.1", "congctl", CONGESTION_CONTROL])
    return f"a network of its own, {_congestion_control()}" + (
        f"; not set: {', '.join(refused)}" if refused else "")


def _congestion_control():
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            socket.create_connection(listener.getsockname()) as any_socket:
        name = any_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    return name.rstrip(b"\0").decode()


def raise_descriptor_limit():
    """To what is allowed; returns it. Children inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def slow_clients_max(descriptors):
    """nginx has the file open for each client besides its socket."""
    return max(1, min(10_000, descriptors // 2 - 500))


def before_exec(core, group=None):
    """For a child between fork and exec: on its core, in its group, and not outliving us."""
    cores = {core} if core in os.sched_getaffinity(0) else os.sched_getaffinity(0)

    def prepare():
        os.sched_setaffinity(0, cores)
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    return prepare


class SlowDisk:
    """A control group whose processes read at most so many bytes a second from a folder's disk.

    Buffered reads are throttled where they are submitted, so this slows whoever reads ahead, be it
    a worker, a thread or the kernel's io_uring thread. `group` is None and `reason` says why if
    this machine does not allow it.
    """

    def __init__(self, folder, bytes_per_second):
        self.group, self.reason = None, None
        device = self._device(folder)
        if device is None:
            self.reason = f"{folder} is not on a disk"
            return
        parent, limit, value = pathlib.Path("/sys/fs/cgroup/blkio"), \
            "blkio.throttle.read_bps_device", f"{device} {bytes_per_second}"
        if not parent.is_dir():
            parent, limit, value = pathlib.Path("/sys/fs/cgroup"), "io.max", \
                f"{device} rbps={bytes_per_second}"
        group = parent / f"tallygate-load-{os.getpid()}"
        try:
            if limit == "io.max":
                (parent / "cgroup.subtree_control").write_text("+io")
            group.mkdir()
            self.group = group
            (group / limit).write_text(value)
        except OSError as failure:
            self.reason = f"no throttled control group: {failure}"
            self.close()

    @staticmethod
    def _device(folder):
        number = os.stat(folder).st_dev
        entry = pathlib.Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
        if not entry.exists():
            return None
        entry = entry.resolve()
        if (entry / "partition").exists():  # limits are those of whole disks
            entry = entry.parent
        return (entry / "dev").read_text().strip()

    def close(self):
        if self.group is not None:
            try:
                self.group.rmdir()
            except OSError:
                pass  # its last process is still ending; an empty group harms nobody
            self.group = None


def _first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return ""
    return (done.stdout or done.stderr).strip().split("\n")[0] if done.returncode == 0 else ""


def description(project):
    """Machine, kernel, commit, and the versions of the opponents."""
    cpu = next((line.split(":")[1].strip()
                for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    commit = _first_line(["git", "-C", str(project), "describe", "--always", "--dirty"])
    return {
        "machine": f"{cpu}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "commit": commit or "unknown",
        "versions": ", ".join(filter(None, (
            _first_line(["nginx", "-v"]).removeprefix("nginx version: "),
            " ".join(_first_line(["redis-server", "--version"]).split(" ")[:3]),
            " ".join(_first_line(["openssl", "version"]).split(" ")[:2])))),
    }
