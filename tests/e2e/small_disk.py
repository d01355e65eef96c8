"""A small disk of one's own for the tests of the ledger's disk: it fills up, stalls, dies.

An ext4 in an image, loop-mounted in a mount namespace of this process: nobody else sees it, and it
goes with the process. Needs root and a machine that permits mounts; tests are skipped elsewhere.
"""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

from support import KIB, MIB, eventually

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000
EXT4_IOC_SHUTDOWN = 2 << 30 | 4 << 16 | ord("X") << 8 | 125  # _IOR('X', 125, uint32_t)
SHUTDOWN_WITHOUT_LOG_FLUSH = 2
# Where an image is best kept: its syncs are many.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def run(*command):
    subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)


def enter_own_mount_namespace():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "a mount namespace: " + os.strerror(ctypes.get_errno()))


class SmallDisk:
    """Mounted at `path`. Clean up with `remove`, after whoever uses it has ended."""

    def __init__(self, size=64 * MIB):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tallygate-disk-", dir=MEMORY))
        self.path = self.folder / "mnt"
        self.path.mkdir()
        self.ledger = self.path / "ledger"
        self.image = self.folder / "image"
        self.image.touch()
        os.truncate(self.image, size)
        run("mkfs.ext4", "-q", "-F", "-m", "0", self.image)

    def mount(self):
        run("mount", "-o", "loop", self.image, self.path)

    def remount_read_only(self):
        run("mount", "-o", "remount,ro", self.path)

    def unmount(self):
        def is_mounted():
            subprocess.run(["umount", self.path], capture_output=True)
            return os.path.ismount(self.path)

        eventually(is_mounted, False)

    def remove(self):
        if os.path.ismount(self.path):
            self.unmount()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- what disks do

    def fill(self):
        """Leaves no block free; once more, and what was freed since is taken as well."""
        with open(self.path / "filler", "ab", buffering=0) as filler:
            with contextlib.suppress(OSError):
                free = os.statvfs(self.path)
                os.posix_fallocate(filler.fileno(), filler.tell(), free.f_bavail * free.f_frsize)
            with contextlib.suppress(OSError):
                while filler.write(bytes(4 * KIB)):
                    os.fsync(filler.fileno())

    def free(self):
        (self.path / "filler").unlink()

    @contextlib.contextmanager
    def frozen(self):
        """Whoever writes waits, until the end of this or of this process."""
        script = 'fsfreeze -f "$1" || exit; echo frozen; read _; fsfreeze -u "$1"'
        with subprocess.Popen(["sh", "-c", script, "sh", self.path], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as helper:
            if helper.stdout.readline() != "frozen\n":
                raise OSError("fsfreeze does not freeze")
            try:
                yield
            finally:
                helper.stdin.close()
                helper.wait()

    def die(self):
        """Every call fails from now on, until it is mounted anew."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", SHUTDOWN_WITHOUT_LOG_FLUSH))
        finally:
            os.close(descriptor)
