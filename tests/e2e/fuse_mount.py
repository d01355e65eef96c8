"""A file system of one's own in user space with one file, "file", that hangs or fails on request, as
a network file system does whose server is gone. Needs root and /dev/fuse.

See fuse(4) and linux/fuse.h; what is not here the kernel does without.
"""

import contextlib
import ctypes
import errno
import os
import select
import stat
import struct
import threading
import time

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
FLUSH, INIT, OPENDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 25, 26, 27, 29, 36, 42
ROOT, FILE = 1, 2  # nodes
MS_NOSUID, MS_NODEV, MNT_DETACH = 2, 4, 2
LINGER = 1  # second for which the kernel believes what it was told of a name or of attributes

libc = ctypes.CDLL(None, use_errno=True)


class FuseMount:
    """Mounted at `folder`, which exists. The thread that serves it is this process's, so this
    process must not touch what is in there."""

    def __init__(self, folder, content):
        self.folder, self.content = str(folder), content
        self.answers = threading.Event()  # clear: it hangs
        self.answers.set()
        self.failing = False  # reading gives EIO
        self.ended = False
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other"
        if libc.mount(b"test", self.folder.encode(), b"fuse", MS_NOSUID | MS_NODEV,
                      options.encode()) != 0:
            failure = ctypes.get_errno()
            os.close(self.device)
            raise OSError(failure, "mount of a FUSE file system: " + os.strerror(failure))
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def hang(self):
        self.answers.clear()

    def go_on(self):
        self.answers.set()

    def unmount(self):
        self.go_on()
        libc.umount2(self.folder.encode(), MNT_DETACH)
        self.ended = True
        self.thread.join()
        os.close(self.device)

    # -- the protocol

    def _serve(self):
        while not self.ended:
            if not self.answers.wait(0.05):
                continue
            if not select.select([self.device], [], [], 0.05)[0]:
                continue
            try:
                request = os.read(self.device, 1 << 20)
            except BlockingIOError:
                continue
            except OSError:  # ENODEV: unmounted
                return
            # Also if it was told to hang just now: whoever waits for a request that was read cannot
            # even be killed.
            self._answer(request)

    def _answer(self, request):
        _, opcode, unique, node = struct.unpack_from("=IIQQ", request)
        body = request[40:]
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            return  # these want no answer
        error, data = 0, b""
        if opcode == INIT:
            data = struct.pack("=IIIIHHIIHHI28x", 7, 31, 1 << 17, 0, 12, 10, 1 << 17, 1, 0, 0, 0)
        elif opcode == LOOKUP:
            if body.rstrip(b"\0") == b"file":
                data = struct.pack("=QQQQII", FILE, 0, LINGER, LINGER, 0, 0) + self._attributes(FILE)
            else:
                error = errno.ENOENT
        elif opcode == GETATTR:
            data = struct.pack("=QII", LINGER, 0, 0) + self._attributes(node)
        elif opcode in (OPEN, OPENDIR):
            data = struct.pack("=QII", 0, 0, 0)
        elif opcode == READ:
            _, offset, size = struct.unpack_from("=QQI", body)
            if self.failing:
                error = errno.EIO
            else:
                data = self.content[offset:offset + size]
        elif opcode == STATFS:
            data = bytes(80)
        elif opcode not in (RELEASE, RELEASEDIR, FLUSH):
            error = errno.ENOSYS
        with contextlib.suppress(OSError):  # whoever asked has gone
            os.write(self.device, struct.pack("=IiQ", 16 + len(data), -error, unique) + data)

    def _attributes(self, node):
        mode = stat.S_IFREG | 0o444 if node == FILE else stat.S_IFDIR | 0o755
        size = len(self.content) if node == FILE else 0
        long_ago = 1_700_000_000
        return struct.pack("=6Q3I7I", node, size, (size + 511) // 512, long_ago, long_ago, long_ago,
                           0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def require_fuse(folder):
    """OSError where there can be none."""
    if os.geteuid() != 0:
        raise OSError("only root can mount a file system")
    mounted = FuseMount(folder, b"x")
    time.sleep(0.05)  # the kernel says hello
    mounted.unmount()
