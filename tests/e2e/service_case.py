"""systemd's side of a service, without systemd: a socket that is notified, sockets handed over."""

import os
import pathlib
import shutil
import socket
import tempfile

from support import PATIENCE, Server

# Becomes the server with the descriptors 3, 4, ... and LISTEN_PID, which only the process itself can
# know: $1 is how they are made.
HANDS_OVER = 'eval "$1"; export LISTEN_PID=$$; shift; exec "$@"'


class NotifySocket:
    """What the server tells systemd, message by message."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tallygate-notify-"))
        self.path = self.folder / "socket"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(PATIENCE)

    def close(self):
        self.socket.close()
        shutil.rmtree(self.folder)

    def next(self):
        """The next message: its assignments."""
        message = self.socket.recv(4096).decode()
        return dict(line.split("=", 1) for line in message.splitlines())

    def next_without_watchdog(self):
        while (message := self.next()) == {"WATCHDOG": "1"}:
            pass
        return message

    def all(self):
        """Those that have come and were not read; for a server that has ended."""
        self.socket.setblocking(False)
        messages = []
        try:
            while True:
                messages.append(self.next())
        except BlockingIOError:
            self.socket.settimeout(PATIENCE)
            return messages

    def forget(self):
        self.all()


class ServiceServer(Server):
    """A server that is started as systemd does it.

    `notify` is told how it is, and watches if `watchdog` has microseconds; `sockets` are handed over,
    pairs of a name and a socket.
    """

    def __init__(self, settings=None, keys=None, notify=None, watchdog=None, sockets=()):
        super().__init__(settings, keys)
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("LISTEN_", "NOTIFY_", "WATCHDOG_"))}
        if notify is not None:
            environment["NOTIFY_SOCKET"] = str(notify.path)
        if watchdog is not None:
            environment["WATCHDOG_USEC"] = str(watchdog)
        self.process_options = {"env": environment}
        if sockets:
            environment["LISTEN_FDS"] = str(len(sockets))
            environment["LISTEN_FDNAMES"] = ":".join(name for name, _ in sockets)
            numbers = [each.fileno() for _, each in sockets]
            # First out of the way, then to the places where the server looks for them.
            away = [f"exec {{away{i}}}<&{number};" for i, number in enumerate(numbers)]
            there = [f"exec {3 + i}<&${{away{i}}};" for i in range(len(numbers))]
            self.launcher = ("bash", "-c", HANDS_OVER, "bash", " ".join(away + there))
            self.process_options["pass_fds"] = numbers
