"""Servers with a library before the C library (LD_PRELOAD), and the numbers that steer it."""

import mmap
import os
import pathlib
import struct
import subprocess
import tempfile

from support import Server

SOURCES = pathlib.Path(__file__).with_name("preload")
made = {}  # libraries of this process: the folders that they are in, by name


def library(name):
    """preload/NAME.c, compiled once."""
    if name not in made:
        made[name] = tempfile.TemporaryDirectory(prefix="tallygate-preload-")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o",
                        f"{made[name].name}/{name}.so", SOURCES / f"{name}.c"], check=True)
    return f"{made[name].name}/{name}.so"


class PreloadServer(Server):
    """`numbers`: what the library begins with; `self[i]` reads and changes them while it runs."""

    library_name = None
    numbers = ()

    def __init__(self, settings=None, keys=None):
        super().__init__(settings, keys)
        path = self.folder / "control"
        path.write_bytes(bytes(mmap.PAGESIZE))
        with path.open("r+b") as file:
            self.control = mmap.mmap(file.fileno(), 0)
        for i, number in enumerate(self.numbers):
            self[i] = number
        self.process_options = {"env": {**os.environ, "LD_PRELOAD": library(self.library_name),
                                        "CONTROL": str(path)}}

    def __getitem__(self, i):
        return struct.unpack_from("@l", self.control, 8 * i)[0]

    def __setitem__(self, i, number):
        struct.pack_into("@l", self.control, 8 * i, number)

    def remove(self):
        self.control.close()
        super().remove()
