"""A server that hands over to a new process, which is no child of ours until the old one has ended."""

import ctypes
import os
import re
import signal
import subprocess
import time

from support import PATIENCE, Server, eventually

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """From now on a process whose parent has ended is our child, so that we can wait for it."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Orphan:
    """As subprocess.Popen, for a process that somebody else has started.

    Its exit status is ours once its parent has ended; until then it is only known to be there.
    """

    def __init__(self, pid):
        self.pid = pid
        self.returncode = None

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        try:
            self.send_signal(signal.SIGKILL)
        except ProcessLookupError:
            pass

    def poll(self):
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid != 0:
                    self.returncode = os.waitstatus_to_exitcode(status)
            except ChildProcessError:  # its parent lives, and is told
                try:
                    with open(f"/proc/{self.pid}/stat") as stat:
                        if stat.read().rpartition(")")[2].split()[0] == "Z":
                            self.returncode = 0
                except (FileNotFoundError, ProcessLookupError):
                    self.returncode = 0
        return self.returncode

    def wait(self, timeout=PATIENCE):
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("tallygate", timeout)
            time.sleep(0.01)
        return self.returncode


def ask_to_hand_over(server):
    """SIGUSR2, and what came of it: the new process's id; None: there is none."""
    begin = len(server.stderr())
    server.process.send_signal(signal.SIGUSR2)
    done = re.compile(r"^tallygate: (?:handed over to process (\d+)|not handed over).*\n",
                      re.MULTILINE)
    eventually(lambda: done.search(server.stderr()[begin:]) is not None)
    process = done.search(server.stderr()[begin:])[1]
    return process and int(process)


def hand_over_and_end(server):
    """The same, and both have heard that the old process, which had nothing in flight, has ended."""
    begin = len(server.stderr())
    if (code := hand_over(server).wait()) != 0:
        raise AssertionError(f"the old process ended with {code}:\n{server.stderr()[begin:]}")
    eventually(lambda: "has finished its transfers" in server.stderr()[begin:])


def hand_over(server):
    """Has it taken over by a new process, which is server.process then; returns the old one."""
    begin = len(server.stderr())
    process = ask_to_hand_over(server)
    if process is None:
        raise AssertionError(server.stderr()[begin:])
    eventually(lambda: server.stderr()[begin:].count("serving on 127.0.0.1:") >= 1)
    old, server.process = server.process, Orphan(process)
    return old
