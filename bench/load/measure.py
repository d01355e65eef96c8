"""One measurement: a server started for it, a client that loads it, and what both have cost."""

import contextlib
import json
import os
import pathlib
import subprocess
import threading
import time

import machine
import servers
from rows import COUNTED

WARM_UP_SECONDS = 0.2
COLD_STREAMS = 8
LINKS_PER_SECOND_MAX = 250_000


class WrongAnswer(Exception):
    """The server did not do what was asked; the round is void."""


class Client:
    """A bench.load.client: ready when constructed, `load` runs its window."""

    def __init__(self, settings, server, options, paths, size, tls=False, nice=0):
        words = [str(settings.programs / "bench/bench.load.client"),
                 "--port", str(server.tls_port if tls else server.port),
                 "--secret", servers.SECRET, "--scheme", server.scheme, "--bytes", str(size)]
        for path in paths:
            words += ["--path", path]
        for name, value in options.items():
            words += [f"--{name}", str(value)]
        prepare = machine.before_exec(settings.client_core)

        def pin_and_yield():
            prepare()
            os.nice(nice)

        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, start_new_session=True,
                                        preexec_fn=pin_and_yield)
        # Whatever hangs, ends.
        self.watchdog = threading.Timer(settings.seconds + 120, self.process.kill)
        self.watchdog.daemon = True
        self.watchdog.start()

    def __enter__(self):
        self._line()
        return self

    def __exit__(self, failure, *_):
        self.watchdog.cancel()
        if failure is not None:
            self.process.kill()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def _line(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.watchdog.cancel()
            raise WrongAnswer(self.process.stderr.read().strip() or "the client was killed")
        return json.loads(line)

    def start(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def report(self):
        return self._line()

    def load(self):
        self.start()
        return self.report()


def cpu_ns(pids):
    """CPU time of processes, their ended threads included, which /proc/PID/task has forgotten:
    among them are the kernel's io_uring workers."""
    # The number of a process's CPU clock, as clock_getcpuclockid(3) makes it.
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)


def resident_bytes(pids):
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


class Cores:
    """How busy the two cores are, and how much of that is neither server nor client."""

    def __init__(self, settings, pids, *clients):
        self.names = {"server": settings.server_core, "client": settings.client_core}
        self.pids = {"server": pids, "client": [client.process.pid for client in clients]}
        self.begin = time.monotonic_ns()
        self.ticks, self.cpu = busy(self.names.values()), self._cpu()

    def _cpu(self):
        return {name: cpu_ns(pids) for name, pids in self.pids.items()}

    def since(self):
        """Parts of the time: of each core that it was busy, of each side that it ran."""
        after, cpu = busy(self.names.values()), self._cpu()
        wall = time.monotonic_ns() - self.begin
        busy_parts = {f"{name}_busy": busy_part(self.ticks, after, core)
                      for name, core in self.names.items()}
        own_parts = {f"{name}_own": (cpu[name] - self.cpu[name]) / wall for name in cpu}
        others = sum(filter(None, busy_parts.values())) - sum(own_parts.values())
        return busy_parts | own_parts | {"others_busy": max(0.0, others)}


def busy(cores):
    """Core → (busy, all) ticks."""
    ticks = {}
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        word, *numbers = line.split()
        if word[:3] == "cpu" and word[3:].isdigit() and int(word[3:]) in cores:
            numbers = [int(number) for number in numbers[:8]]
            ticks[int(word[3:])] = sum(numbers) - numbers[3] - numbers[4], sum(numbers)
    return ticks


def busy_part(before, after, core):
    if core not in before or after[core][1] == before[core][1]:
        return None
    return (after[core][0] - before[core][0]) / (after[core][1] - before[core][1])


def _options(row, name, settings, seconds):
    options = {"connections": 1, **row.client, "seconds": seconds}
    if settings.requests:
        options["requests"] = settings.requests
    if row.kind == "slow":
        options["connections"] = settings.clients
    if name == COUNTED or name.startswith("Lua"):
        options["limit"] = row.limit
    if row.links == "each":
        options["links"] = options["connections"]
    elif row.links == "unique":
        wanted = settings.requests or max(1, int(seconds * LINKS_PER_SECOND_MAX))
        options.update({"links": wanted, "each-once": "yes"})
    return options


def _file(row, settings):
    return {"small": (["/samples/sample.pdf"], settings.small_bytes),
            "large": (["/music/album.flac"], settings.large_bytes)}[row.file]


def measure(row, name, settings, slow_disk=None):
    """Figures of one row for one server, as in rows.FIGURES, and how busy the cores were."""
    make = servers.contenders(row.tls)[name]
    group = None
    if row.throttled:
        group = slow_disk.group
        if group is None:
            raise servers.Unavailable(slow_disk.reason)
    with make(settings, group) as server:
        try:
            return {"load": _load, "slow": _slow, "cold": _cold}[row.kind](
                row, name, settings, server)
        except WrongAnswer as failure:
            raise WrongAnswer(f"{failure}\n{server.complaints()}".strip()) from None


def _warm_up(row, name, settings, server):
    options = _options(row, name, settings, min(WARM_UP_SECONDS, settings.seconds))
    if options.get("mode") in ("slow", "probe"):
        options |= {"mode": "keep_alive", "connections": 4}
    with Client(settings, server, options, *_file(row, settings), row.tls) as client:
        client.load()


def _load(row, name, settings, server):
    _warm_up(row, name, settings, server)
    options = _options(row, name, settings, settings.seconds)
    with Client(settings, server, options, *_file(row, settings), row.tls) as client:
        time.sleep(settings.settle_seconds)
        pids = server.pids()
        cores, cpu = Cores(settings, pids, client), cpu_ns(pids)
        report = client.load()
        parts = cores.since()
        time.sleep(settings.settle_seconds)
        cpu = (cpu_ns(pids) - cpu) / 1e9
    requests, gib = report["requests"], report["bytes"] / (1 << 30)
    if not report["bytes"]:
        raise WrongAnswer("nothing was served within the window")
    return {
        "requests": requests,
        "per_second": requests / report["seconds"],
        "cpu_us": cpu * 1e6 / requests if requests else None,
        "gib_s": gib / report["seconds"],
        "cpu_gib": cpu / gib,
        "p50_ms": report["p50_us"] / 1e3,
        "p99_ms": report["p99_us"] / 1e3,
        "resumed": 100 * report["resumed"] / requests if requests else None,
        **parts,
    }


def _slow(row, name, settings, server):
    _warm_up(row, name, settings, server)
    options = _options(row, name, settings, settings.seconds)
    options.pop("requests", None)
    pids = server.pids()
    before = resident_bytes(pids)
    with Client(settings, server, options, *_file(row, settings), row.tls) as client:
        report = client.load()
        time.sleep(settings.settle_seconds)
        grown = resident_bytes(pids) - before
    return {"requests": report["requests"], "resident": grown / report["requests"]}


def _cold(row, name, settings, server):
    """The streams' client yields to the probe's: what is to be seen is the server."""
    _warm_up(row, name, settings, server)
    paths = [f"/cold/{number}.flac" for number in range(COLD_STREAMS)]
    drop_from_cache([settings.files / path[1:] for path in paths])
    streams = {"mode": "once", "connections": COLD_STREAMS, "links": COLD_STREAMS,
               "seconds": settings.seconds}
    probe = _options(row, name, settings, settings.seconds)
    with (Client(settings, server, streams, paths, settings.cold_bytes, nice=5) as cold,
          Client(settings, server, probe, *_file(row, settings)) as hot):
        cores = Cores(settings, server.pids(), cold, hot)
        cold.start()
        hot.start()
        report, cold_report = hot.report(), cold.report()
        parts = cores.since()
    return {
        "requests": report["requests"],
        "p50_ms": report["p50_us"] / 1e3,
        "p99_ms": report["p99_us"] / 1e3,
        "cold_mib_s": cold_report["bytes"] / (1 << 20) / cold_report["seconds"],
        **parts,
    }


def drop_from_cache(files):
    """Only pages that are clean and that nobody holds go: whoever wrote the files has synced them,
    and what still waits in a socket of the last server is tried again."""
    for _ in range(100):
        for file in files:
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
        try:
            said = subprocess.run(["fincore", "--bytes", "--noheadings", "--output", "RES", *files],
                                  capture_output=True, text=True, timeout=60, check=True)
        except OSError:
            return  # no fincore, no proof
        if sum(int(line) for line in said.stdout.split()) == 0:
            return
        time.sleep(0.02)
    raise servers.Unavailable("the files stay in memory: nothing here is cold")
