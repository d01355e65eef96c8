"""A line to a database server that breaks where a test wants it to: a proxy in threads of its own.

Whether a commit was carried out is what a client cannot know when the line breaks in time. So the
proxy reads what clients say and breaks at a statement, not at a moment: before the server has it,
when the server has all of it, or when the server has answered.

    with CuttingProxy(server) as proxy:
        watch = proxy.watch(b"COMMIT", cut="after", times=2)
        ...                                   # a client at proxy.url("edge")
        eventually(lambda: watch.cuts, 2)

It reads nothing that is encrypted, and a COMMIT only where the client spells it: who executes a
prepared statement names it by a number or a name, and the test watches for that instead. Clients
of MariaDB say SET AUTOCOMMIT, too; b"\\3COMMIT" begins with the command's code, and is no other.
"""

import contextlib
import pathlib
import shutil
import socket
import tempfile
import threading

PIECE = 64 << 10


class Frames:
    """Where, in what the two ends say, a request or an answer ends."""

    def __init__(self):
        self.from_client, self.from_server = bytearray(), bytearray()
        self.requested = self.answered = 0
        self.is_encrypted = False

    def read_client(self, data):
        """The offsets in `data` at which a request is complete."""
        ends = self._ends(self.from_client, data, self._client_frame)
        self.requested += len(ends)
        return ends

    def read_server(self, data):
        self.answered += len(self._ends(self.from_server, data, self._server_frame))

    def _ends(self, rest, data, read_frame):
        """`rest` is the beginning of a frame whose end has not been said yet."""
        said_before, done, ends = len(rest), 0, []
        rest += data
        while not self.is_encrypted and (frame := read_frame(rest[done:done + 8],
                                                             len(rest) - done)):
            length, is_end = frame
            done += length
            if is_end:
                ends.append(done - said_before)
        if self.is_encrypted:
            rest.clear()
        del rest[:done]
        return ends


class PostgresFrames(Frames):
    """Typed frames; before the client's first comes the start of the session, and before that maybe
    the wish to encrypt, which the server answers by a single byte."""

    TO_ENCRYPT = (80877103, 80877104)  # TLS, GSSAPI

    def __init__(self):
        super().__init__()
        self.has_started = False
        self.wishes = 0

    def next_answer(self):
        """Each request is answered by one ReadyForQuery, in turn."""
        return self.requested + 1

    def _client_frame(self, head, available):
        if self.has_started:
            return self._typed(head, available, b"QSF")  # Query, Sync, FunctionCall
        length = int.from_bytes(head[:4], "big")
        if len(head) < 8 or available < length:
            return None
        if int.from_bytes(head[4:], "big") in self.TO_ENCRYPT:
            self.wishes += 1
            return length, False
        self.has_started = True
        return length, True

    def _server_frame(self, head, available):
        if self.wishes and available:
            self.wishes -= 1
            self.is_encrypted = head[:1] != b"N"
            return 1, False
        return self._typed(head, available, b"Z")  # ReadyForQuery

    @staticmethod
    def _typed(head, available, kinds):
        length = 1 + int.from_bytes(head[1:5], "big")
        if len(head) < 5 or available < length:
            return None
        return length, head[0] in kinds


class MariaFrames(Frames):
    """Packets. What changes something is one packet and is answered by one; of an answer with rows
    the first packet counts as its end here."""

    LENGTH_OF_WISH = 4 + 32  # to encrypt: what a client says first then has a fixed length

    def next_answer(self):
        return self.answered + 1

    def _client_frame(self, head, available):
        frame = self._server_frame(head, available)
        if frame and self.requested == 0 and frame[0] == self.LENGTH_OF_WISH:
            self.is_encrypted = True
        return frame

    @staticmethod
    def _server_frame(head, available):
        length = 4 + int.from_bytes(head[:3], "little")
        if len(head) < 4 or available < length:
            return None
        return length, True


FRAMES = {"postgresql": PostgresFrames, "mysql": MariaFrames}


class Watch:
    """Bytes to wait for, and what is to happen when a client says them; see CuttingProxy.watch."""

    def __init__(self, pattern, cut, times):
        if cut not in (None, "before", "after", "during", "hold"):
            raise ValueError(f"{cut!r} is nothing that can be done")
        self.pattern, self.cut, self.times = pattern.lower(), cut, times
        self.matches = 0  # how often it was said
        self.cuts = 0  # how many lines were cut, or held, because of it

    def take(self):
        """What is to be done at this match."""
        self.matches += 1
        if self.cut is None or self.times == 0:
            return None
        if self.times is not None:
            self.times -= 1
        return self.cut


class Cut(Exception):
    """The end of a line that was cut."""


class Line:
    """A client and its connection to the server, with a thread for each direction."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.frames = FRAMES[proxy.server.scheme]()
        self.said = b""  # the end of what the client said: a match may have begun there
        self.is_cut = False
        self.is_mute = False  # the client hears no answers any more
        self.is_held = False
        self.cut_with_request = None  # a Watch: when the server has what is being said now
        self.cut_with_answer = None  # a Watch and the number of the answer
        self.running = 2

    def start(self):
        for pump in (self._pump_to_server, self._pump_to_client):
            threading.Thread(target=self._run, args=(pump,), daemon=True).start()

    def cut(self):
        self.is_cut = True
        self._shut(self.client, socket.SHUT_RDWR)
        self._shut(self.server, socket.SHUT_RDWR)

    def _cut_client(self):
        """The server carries out what it was told, and its answer goes nowhere."""
        self._shut(self.server, socket.SHUT_WR)
        self._shut(self.client, socket.SHUT_RDWR)

    @staticmethod
    def _shut(end, how):
        with contextlib.suppress(OSError):
            end.shutdown(how)

    def _run(self, pump):
        try:
            pump()
        except (OSError, Cut):
            pass
        finally:
            self.proxy.pump_ends(self)

    def _pump_to_server(self):
        try:
            while data := self.client.recv(PIECE):
                self._hear(data)
        finally:
            self._shut(self.server, socket.SHUT_WR)

    def _pump_to_client(self):
        try:
            while data := self.server.recv(PIECE):
                self.proxy.wait_while_held(self, also_at_a_match=False)
                with self.proxy.changed:
                    self.frames.read_server(data)
                    is_mute = self.is_mute
                if not is_mute:
                    self.client.sendall(data)
                self._cut_if_answered()
        finally:
            self._shut(self.client, socket.SHUT_WR)

    def _cut_if_answered(self):
        with self.proxy.changed:
            if self.cut_with_answer is None or self.frames.answered < self.cut_with_answer[1]:
                return
            watch, self.cut_with_answer = self.cut_with_answer[0], None
        self.proxy.count_cut(watch)
        self.cut()
        raise Cut

    def _hear(self, data):
        """Passes on what a client says, with stops at what is watched for."""
        done = 0
        for begin, end, watch in self._matches(data):
            self._tell(data[done:max(begin, done)])
            done = max(begin, done)
            with self.proxy.changed:
                action = watch.take()
                if action == "hold":
                    self.is_held = True
                elif action == "after":
                    self.is_mute, self.cut_with_request = True, watch
                elif action == "during":
                    self.is_mute = True
                    self.cut_with_answer = watch, self.frames.next_answer()
            if action in ("before", "hold"):
                self.proxy.count_cut(watch)
            if action == "before":
                self.cut()
            self._tell(data[done:end])
            done = end
        self._tell(data[done:])

    def _matches(self, data):
        """Begin, end and watch of each match that ends in `data`; one may have begun before it."""
        with self.proxy.changed:
            watches = list(self.proxy.watches)
        text = (self.said + data).lower()
        found = []
        for watch in watches:
            at = max(0, len(self.said) + 1 - len(watch.pattern))
            while (at := text.find(watch.pattern, at)) >= 0:
                begin, at = at - len(self.said), at + len(watch.pattern)
                found.append((begin, at - len(self.said), watch))
        longest = max((len(watch.pattern) for watch in watches), default=1)
        self.said = (self.said + data)[1 - longest:] if longest > 1 else b""
        return sorted(found, key=lambda match: match[:2])

    def _tell(self, data):
        if not data:
            return
        self.proxy.wait_while_held(self)
        with self.proxy.changed:
            ends = self.frames.read_client(data)
            watch = self.cut_with_request
        if watch and ends:
            self.server.sendall(data[:ends[0]])
            self.proxy.count_cut(watch)  # first: whoever is cut may ask at once
            self._cut_client()
            raise Cut
        self.server.sendall(data)


class CuttingProxy:
    """In front of a server of database_servers.py, at a Unix socket and a TCP port of its own.

    The server is reached by its Unix socket, or by TCP with `tcp`. It may come and go.
    """

    def __init__(self, server, tcp=False):
        self.server, self.tcp = server, tcp
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tallygate-px-", dir="/tmp"))
        self.folder.chmod(0o711)
        self.port = None
        self.changed = threading.Condition()  # guards all that follows, and the lines
        self.connections = 0  # how many there have been
        self.watches = []
        self.lines = set()
        self.listeners = []
        self.is_held = False
        self.accept()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def remove(self):
        self.refuse()
        self.release()
        self.cut()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, user, database=None, tcp=False):
        return self.server.url(user, database, tcp, folder=self.folder, port=self.port)

    # -- what lines do

    def watch(self, pattern, cut=None, times=1):
        """Waits for bytes in what clients say, in letters of either case; returns the Watch.

        `cut` is what happens at the next `times` matches (None: at each); later ones are counted.
        None: nothing. "before": the line is cut, and the server has everything up to the match.
        "after": the server has the request, the client is cut and learns nothing. "during": so it
        is when the server has answered in full. "hold": the client's line stalls before the match,
        until `release`.
        """
        watch = Watch(pattern, cut, times)
        with self.changed:
            self.watches.append(watch)
        return watch

    def forget(self, watch):
        with self.changed:
            self.watches.remove(watch)

    def cut(self):
        """Cuts every line now."""
        with self.changed:
            for line in self.lines:
                line.cut()
            self.changed.notify_all()

    def hold(self):
        """Nothing passes any more in either direction; new clients are heard, and wait."""
        with self.changed:
            self.is_held = True

    def release(self):
        with self.changed:
            self.is_held = False
            for line in self.lines:
                line.is_held = False
            self.changed.notify_all()

    @contextlib.contextmanager
    def held(self):
        self.hold()
        try:
            yield
        finally:
            self.release()

    def refuse(self):
        """Takes no new clients, as if no server were there; the lines stay."""
        with self.changed:
            for listener in self.listeners:
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)  # wakes its thread
                listener.close()
            self.listeners = []
        (self.folder / self.server.socket_name).unlink(missing_ok=True)

    def accept(self):
        """Takes new clients, at the same places as before."""
        if self.listeners:
            return
        by_tcp = socket.create_server(("127.0.0.1", self.port or 0))
        self.port = by_tcp.getsockname()[1]
        by_path = socket.socket(socket.AF_UNIX)
        by_path.bind(str(self.folder / self.server.socket_name))
        (self.folder / self.server.socket_name).chmod(0o777)
        by_path.listen()
        self.listeners = [by_tcp, by_path]
        for listener in self.listeners:
            threading.Thread(target=self._take_clients, args=(listener,), daemon=True).start()

    @contextlib.contextmanager
    def away(self):
        """No server far and wide."""
        self.refuse()
        self.cut()
        try:
            yield
        finally:
            self.accept()

    # -- for its threads

    def _take_clients(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = self._reach_server()
            except OSError:
                client.close()
                continue
            for end in (client, server):
                if end.family == socket.AF_INET:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                if listener not in self.listeners:
                    client.close()
                    server.close()
                    return
                line = Line(self, client, server)
                self.lines.add(line)
                self.connections += 1
                line.start()

    def _reach_server(self):
        if self.tcp:
            return socket.create_connection(("127.0.0.1", self.server.port))
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(self.server.folder / self.server.socket_name))
        except OSError:
            server.close()
            raise
        return server

    def wait_while_held(self, line, also_at_a_match=True):
        with self.changed:
            self.changed.wait_for(lambda: line.is_cut or not (
                self.is_held or (also_at_a_match and line.is_held)))
            if line.is_cut:
                raise Cut

    def count_cut(self, watch):
        with self.changed:
            watch.cuts += 1
            self.changed.notify_all()

    def pump_ends(self, line):
        with self.changed:
            line.running -= 1
            if line.running == 0:
                self.lines.discard(line)
                line.client.close()
                line.server.close()
