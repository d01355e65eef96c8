"""Everything at once, then calm (row O9 of the fault table); tests/soak.sh runs it.

The oracle is outside of the server: every client that is to count has a link of its own, breaks its
downloads off where it must not matter, resumes them, and knows how many copies it has had. In the
end ledger and shop must say the same.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import random
import signal
import socket
import ssl
import sys
import time

from command_case import health
from database_case import ServerDatabase
from database_servers import PostgresServer
from handover_case import adopt_orphans, hand_over
from support import KIB, MIB, eventually, new_link_id
from tls_case import NAME, TlsServer

LARGE, SMALL = 4 * MIB, 16 * KIB
# A client that breaks off has this much ahead of it at least: its kernel may have acknowledged what
# it has not read.
UNREAD = 1 * MIB
RECEIVE_BUFFER = 64 * KIB
LIMIT = 1_000_000
ALLOWED = {  # design: every answer that there may be
    403: {"link-invalid", "link-expired", "downloads-exhausted", "traffic-exhausted"},
    410: {"link-expired"},
    416: {"http-416"},
    429: {"downloads-in-progress"},
    503: {"temporarily-unavailable"},
}


def pattern(version, size):
    """A file whose every byte says which version it is of."""
    return (b"%07d\n" % version) * (size // 8)


class Soak:
    def __init__(self, server, minutes, clients):
        self.server = server
        self.ends_at = time.monotonic() + minutes * 60
        self.seconds = minutes * 60
        self.clients = clients
        self.answers = collections.Counter()
        self.wrong = []
        self.closed = collections.Counter()
        self.bytes = 0
        self.copies = {}  # of the links that count: what their clients have had
        # And what they may have had besides: the server cut them off near the end of a version that
        # was then replaced, and their kernels may have acknowledged the rest of it.
        self.perhaps = collections.Counter()
        self.samples = []  # seconds, resident KiB, descriptors
        self.reloads = 0
        self.tls = ssl.create_default_context(cafile=server.certificate.file)

    def is_over(self):
        return time.monotonic() >= self.ends_at

    # -- one request

    @contextlib.asynccontextmanager
    async def connection(self, tls, buffer=None):
        options = dict(ssl=self.tls, server_hostname=NAME) if tls else {}
        if buffer:
            options["limit"] = buffer
        port = self.server.tls_port if tls else self.server.port
        end = socket.socket()
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)  # far below UNREAD
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(end, ("127.0.0.1", port)), 60)
        reader, writer = await asyncio.wait_for(asyncio.open_connection(sock=end, **options), 60)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def head(self, reader, writer, target, fields=()):
        """The status, the fields and, of a refusal, its name."""
        lines = [f"GET {target} HTTP/1.1", f"Host: {NAME}", *fields, "", ""]
        writer.write("\r\n".join(lines).encode())
        raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        status = int(raw[9:12])
        answer = {}
        for line in raw.decode().split("\r\n")[1:-2]:
            name, _, value = line.partition(": ")
            answer[name.lower()] = value
        name = ""
        if status not in (200, 206):
            body = await reader.readexactly(int(answer["content-length"]))
            name = json.loads(body)["type"].removeprefix("urn:tallygate:")
            if name not in ALLOWED.get(status, ()):
                self.wrong.append((status, name, target[:40]))
            if status in (429, 503):
                if "retry-after" not in answer:
                    self.wrong.append((status, "no Retry-After"))
        self.answers[status, name] += 1
        return status, answer, name

    # -- clients

    async def forever(self, what, *arguments):
        while not self.is_over():
            try:
                await what(*arguments)
            except (OSError, asyncio.IncompleteReadError, ssl.SSLError) as failure:
                self.closed[type(failure).__name__] += 1
                await asyncio.sleep(0.2)
            except asyncio.TimeoutError:
                self.wrong.append("no answer within a minute")

    async def counted(self, number):
        """Copies of a limited link, broken off and resumed, now and then while the file changes."""
        chance = random.Random(number)
        tls = number % 2 == 0
        path = f"/{'replaced' if number % 5 == 0 else 'kept'}-{number % 3}"
        link = new_link_id()
        self.copies[link] = 0
        url = self.server.sign(path, id=link, limit=LIMIT)
        while not self.is_over():
            await self.copy(url, link, tls, chance)
            await asyncio.sleep(chance.uniform(0, 2))

    async def copy(self, url, link, tls, chance):
        begun, etag, version = 0, "", b""
        while begun < LARGE:
            fields = [f"Range: bytes={begun}-", f"If-Range: {etag}"] if begun else []
            try:
                async with self.connection(tls) as (reader, writer):
                    status, answer, _ = await self.head(reader, writer, url, fields)
                    if status not in (200, 206):
                        if self.is_over():
                            return
                        await asyncio.sleep(int(answer.get("retry-after", 1)))
                        continue
                    if status == 200:
                        if begun >= LARGE - UNREAD:
                            self.perhaps[link] += 1
                        begun, etag, version = 0, answer["etag"], b""
                    elif answer["etag"] != etag:
                        self.wrong.append("a part of another version")
                    break_at = LARGE + 1
                    if begun < LARGE - UNREAD and chance.random() < 0.5:
                        break_at = chance.randrange(begun, LARGE - UNREAD)
                    while begun < min(LARGE, break_at):
                        piece = await asyncio.wait_for(reader.read(64 * KIB), 120)
                        if not piece:
                            break
                        rest = begun % 8
                        version = version or piece[:8]
                        if (version * (len(piece) // 8 + 2))[rest:rest + len(piece)] != piece:
                            self.wrong.append("bytes of two versions in one copy")
                        begun += len(piece)
                        self.bytes += len(piece)
            except (OSError, ssl.SSLError, asyncio.IncompleteReadError) as failure:
                self.closed[type(failure).__name__] += 1
                await asyncio.sleep(0.1)
        self.copies[link] += 1

    async def slow(self, number):
        """A reader of a few KiB a second; most of the time it is silent."""
        url = self.server.sign("/kept-0")
        async with self.connection(number % 2 == 0, 8 * KIB) as (reader, writer):
            status, answer, _ = await self.head(reader, writer, url)
            while status == 200 and not self.is_over():
                piece = await asyncio.wait_for(reader.read(8 * KIB), 120)
                if not piece:
                    return
                self.bytes += len(piece)
                await asyncio.sleep(1)

    async def fast(self, number):
        """Small files on one connection."""
        url = self.server.sign("/small", id=f"small-{number}", limit=LIMIT)
        async with self.connection(number % 2 == 0) as (reader, writer):
            for _ in range(100):
                if self.is_over():
                    return
                status, answer, _ = await self.head(reader, writer, url)
                if status == 200:
                    await reader.readexactly(SMALL)
                    self.bytes += SMALL
                if answer.get("connection") == "close":
                    return
                await asyncio.sleep(0.2)

    async def bad(self):
        """Links that nobody signed, one after the other."""
        async with self.connection(False) as (reader, writer):
            for _ in range(200):
                if self.is_over():
                    return
                genuine = self.server.sign("/small")
                forged = genuine[:-64] + "%064x" % random.getrandbits(256)
                status, answer, name = await self.head(reader, writer, forged)
                if (status, name) != (403, "link-invalid"):
                    self.wrong.append((status, name, "for a forged link"))
                await asyncio.sleep(0.005)

    async def resets(self):
        """Asks, and is gone."""
        url = self.server.sign("/kept-1", id="reset", limit=LIMIT)
        async with self.connection(False) as (_, writer):
            writer.write(f"GET {url} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
            await asyncio.sleep(random.choice((0, 0.01, 0.1)))
        await asyncio.sleep(0.05)

    # -- the operator

    async def every(self, seconds, what):
        while not self.is_over():
            await asyncio.sleep(seconds)
            if not self.is_over():
                await asyncio.to_thread(what)

    def reload(self):
        said = self.server.reload()
        if "not reloaded" in said:
            self.wrong.append(said)
        self.reloads += 1

    def replace_files(self):
        for i in range(3):
            self.server.write(f"/replaced-{i}", pattern(int(time.time() * 10) % 10**7, LARGE))

    def bounce_database(self):
        self.server.database.server.stop()
        time.sleep(5)
        self.server.database.server.start()

    def sample(self):
        pid = self.server.process.pid
        with open(f"/proc/{pid}/status") as status:
            resident = [int(line.split()[1]) for line in status if line.startswith("VmRSS")]
        if resident:  # else it has just handed over, and ended
            self.samples.append((self.seconds - (self.ends_at - time.monotonic()), resident[0],
                                 len(os.listdir(f"/proc/{pid}/fd"))))

    async def hand_overs(self):
        """In the last tenth of the time: a new process begins with empty memory."""
        await asyncio.sleep(self.seconds * 0.9)
        self.flat = list(self.samples)
        for _ in range(2):
            old = await asyncio.to_thread(hand_over, self.server)
            await asyncio.to_thread(old.wait, 120)
            await asyncio.sleep(3)

    async def run(self):
        counted = max(4, self.clients // 20)
        fast = self.clients // 5
        slow = self.clients - counted - fast
        tasks = [self.counted(i) for i in range(counted)]
        tasks += [self.forever(self.slow, i) for i in range(slow)]
        tasks += [self.forever(self.fast, i) for i in range(fast)]
        tasks += [self.forever(self.bad), self.forever(self.resets), self.hand_overs(),
                  self.every(5, self.reload), self.every(7, self.replace_files),
                  self.every(30, self.bounce_database), self.every(2, self.sample)]
        await asyncio.gather(*tasks)

    # -- the verdict

    def judge(self):
        server, failures = self.server, [repr(each) for each in self.wrong[:20]]
        eventually(lambda: health(server)["shop"]["reachable"], patience=120)
        for link, copies in self.copies.items():
            if not copies:
                continue
            counted = server.expect_link(link)["copies"]
            if not copies <= counted <= copies + self.perhaps[link]:
                failures.append(f"{link}: its client has had {copies} copies, and {counted} count")
                continue
            try:
                server.database.expect_link(link, used=counted)
            except AssertionError as failure:
                failures.append(f"{link}: {counted} copies count, and the shop: {failure}")
        quarter = len(self.flat) // 4
        for name, column, slack in (("resident KiB", 1, 4096), ("descriptors", 2, 100)):
            warm = max(sample[column] for sample in self.flat[quarter:2 * quarter])
            late = max(sample[column] for sample in self.flat[3 * quarter:])
            print(f"{name}: at most {warm} in the second quarter, {late} in the last")
            if late > warm * 1.1 + slack:
                failures.append(f"{name} grow from {warm} to {late}")
        print(f"{sum(self.copies.values())} copies of {len(self.copies)} links counted by their "
              f"clients, {self.bytes / 2**30:.1f} GiB read, {self.reloads} reloads")
        for (status, name), times in sorted(self.answers.items()):
            print(f"{times:9} x {status} {name}")
        print("connections that ended early:", dict(self.closed))
        return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=2000)
    asked = parser.parse_args()
    adopt_orphans()
    with PostgresServer() as database_server:
        for user in ("owner", "edge"):
            database_server.create_user(user, "secret-" + user)
        server = TlsServer({
            "server": {"max_connections": asked.clients * 2, "max_connections_per_address": 0,
                       "drain_timeout": "3s", "idle_timeout": "2m"},
            "log": {"access": "off"}})
        try:
            server.database = ServerDatabase(database_server, "soak")
            server.configure({"shop": {**server.database.settings, "poll": "500ms",
                                       "edge_id": "edge-1"}})
            for i in range(3):
                server.write(f"/kept-{i}", pattern(i, LARGE))
                server.write(f"/replaced-{i}", pattern(i, LARGE))
            server.write("/small", pattern(7, SMALL))
            server.database.prepare(server)
            server.start()
            soak = Soak(server, asked.minutes, asked.clients)
            asyncio.run(soak.run())
            failures = soak.judge()
            server.process.send_signal(signal.SIGTERM)
            if server.process.wait(120) != 0:
                failures.append("the server did not end in order")
        finally:
            server.kill()
            server.remove()
    for failure in failures:
        print("FAILED:", failure)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
