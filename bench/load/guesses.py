"""What a link that nobody signed costs beside one that somebody did.

Would change a decision: a bad link that costs as much as a good one, or more when it is logged; then
an address would need a bound on requests. Run on a machine with nothing else to do, with the release build:

    TALLYGATE=build/release/server/tallygate python3 bench/load/guesses.py [REQUESTS]

The server is on core 0, the client on core 1, which sends 64 requests at a time on one connection and reads
their answers; medians of five rounds, in which the cases take turns. Processor time is the server's alone.
"""

import os
import pathlib
import secrets
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/e2e"))
from support import KIB, Server, some_bytes  # noqa: E402

BATCH, ROUNDS = 64, 5


def cpu_seconds(server):
    with open(f"/proc/{server.process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def head(target):
    return f"GET {target} HTTP/1.1\r\nHost: dl.shop.example\r\nUser-Agent: bench/1\r\n\r\n".encode()


def signed(server):
    return [head(server.sign("/a"))] * BATCH


def wrong_mac(_):
    return [head(f"/a?tg=1.kk1.e4000000000.i{i}.s{secrets.token_hex(32)}") for i in range(BATCH)]


def malformed(_):
    return [head(f"/a?tg={secrets.token_hex(40)}") for _ in range(BATCH)]


CASES = {"a signed link, 4 KiB": (signed, 200), "a wrong MAC": (wrong_mac, 403),
         "no token at all": (malformed, 403)}


def measure(server, make, status, requests):
    """Requests a second, and µs of processor time for each."""
    batches = [b"".join(make(server)) for _ in range(8)]
    with server.client() as client:
        client.ask(server.sign("/a"))
        begin, cpu = time.monotonic(), cpu_seconds(server)
        for sent in range(0, requests, BATCH):
            client.send(batches[sent // BATCH % len(batches)])
            for _ in range(BATCH):
                answer = client.read_response()
                assert answer.status == status, answer
        seconds = time.monotonic() - begin
        return requests / seconds, 1e6 * (cpu_seconds(server) - cpu) / requests


def main():
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 64_000
    requests -= requests % BATCH
    figures = {}
    for log in ({"access": "off"}, {}, {"refused_per_minute": 0}):
        with Server({"server": {"threads": 1, "max_connections_per_address": 0}, "log": log}) as server:
            os.sched_setaffinity(server.process.pid, {0})
            for task in os.listdir(f"/proc/{server.process.pid}/task"):
                os.sched_setaffinity(int(task), {0})
            os.sched_setaffinity(0, {os.cpu_count() - 1})
            server.write("/a", some_bytes(4 * KIB))
            for _ in range(ROUNDS):
                for case, (make, status) in CASES.items():
                    name = (case, " ".join(f"log.{key} = {value}" for key, value in log.items()))
                    figures.setdefault(name, []).append(measure(server, make, status, requests))
    for (case, log), rounds in figures.items():
        rate, cpu = (statistics.median(column) for column in zip(*rounds))
        print(f"{case:22} {log or 'logged':28} {rate:9,.0f} requests/s  {cpu:6.1f} us")


if __name__ == "__main__":
    main()
