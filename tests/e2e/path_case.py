"""What the tests of the ways of bytes share: files in memory and not, servers with and without TLS
and io_uring, what of descriptors a server holds."""

import collections
import ctypes
import mmap
import os
import pathlib
import re
import subprocess
import sys
import unittest

from counting import CountingTestCase
from support import Server, eventually, some_bytes
from tls_case import TlsServer

WITHOUT_IO_URING = (sys.executable,
                    str(pathlib.Path(__file__).resolve().with_name("without_io_uring.py")))
PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)


def require_seccomp():
    done = subprocess.run([*WITHOUT_IO_URING, "true"], capture_output=True, text=True)
    if done.returncode != 0:
        skip(f"io_uring cannot be refused: {done.stderr.strip()}")


def skip(why):
    print(why, flush=True)
    raise unittest.SkipTest(why)


def share_in_memory(file):
    """How much of the file is in the page cache, 0 to 1."""
    with open(file, "rb") as opened:
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
            pages = (len(mapped) + PAGE - 1) // PAGE
            found = ctypes.create_string_buffer(pages)
            first = ctypes.c_char.from_buffer(mapped)
            try:
                if libc.mincore(ctypes.byref(first), ctypes.c_size_t(len(mapped)), found) != 0:
                    raise OSError(ctypes.get_errno(), "mincore")
            finally:
                del first
            return sum(byte & 1 for byte in found.raw[:pages]) / pages


def make_hot(file):
    with open(file, "rb") as opened:
        while opened.read(1 << 20):
            pass


def drop_from_memory(file):
    """What is in no use: what a server has on its way to a client stays."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def make_cold(file):
    """All of it; skips the test where the file system is memory."""
    def is_cold():
        drop_from_memory(file)
        return os.stat(file).st_size == 0 or share_in_memory(file) == 0

    try:
        eventually(is_cold, True, patience=10)
    except AssertionError:
        skip(f"{file} stays in memory whatever is advised")


def descriptors(server):
    """How many descriptors of each kind the server has: socket, pipe, eventfd, io_uring, file …"""
    kinds = collections.Counter()
    folder = f"/proc/{server.process.pid}/fd"
    for name in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:
            continue
        if found := re.match(r"anon_inode:\[?(\w+)\]?|(\w+):\[\d+\]", target):
            kinds[found[1] or found[2]] += 1
        else:
            kinds["file"] += 1
    return kinds


class PoolServer(Server):
    """io_uring is refused to it."""

    launcher = WITHOUT_IO_URING


class TlsPoolServer(TlsServer):
    launcher = WITHOUT_IO_URING


class WayTestCase(CountingTestCase):
    """A server on whose file system files can be cold."""

    def put(self, path, size, seed=1):
        """A file of this size below the root: its content, and where it is."""
        return self.server.write(path, some_bytes(size, seed)), self.server.root / path[1:]

    def in_both_states(self, size):
        """Twice a file of this size, in memory and not: its content, its path, whether it is cold."""
        for is_cold in (False, True):
            path = f"/{'cold' if is_cold else 'hot'}-{size}"
            with self.subTest(path=path):
                content, file = self.put(path, size, seed=size)
                (make_cold if is_cold else make_hot)(file)
                yield content, path, is_cold

    def pipes(self):
        return descriptors(self.server)["pipe"]
