#!/usr/bin/env python3
"""Measures tallygate beside other servers, in rounds that take turns; see README.md.

What is measured stands in rows.py, whom it is measured beside in servers.py, how in measure.py.
"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import chart
import machine
import report
import servers
from measure import COLD_STREAMS, WrongAnswer, measure
from rows import BY_NAME, ROWS

PROJECT = pathlib.Path(__file__).resolve().parents[2]
MIB = 1 << 20
SLOW_DISK_BYTES_PER_SECOND = 100_000_000


class Settings:
    """What the command line says, and where things lie."""

    def __init__(self, options, folder):
        self.folder = folder
        self.files = folder / "files"
        self.certificate, self.certificate_key = folder / "tls.crt", folder / "tls.key"
        self.programs = options.programs.resolve()
        self.tallygate = options.tallygate or self.programs / "server/tallygate"
        self.server_core, self.client_core = options.server_core, options.client_core
        self.seconds, self.requests = options.seconds, options.requests
        # tallygate settles counts within 100 ms behind an answer, and its journal may take as long
        # again: that is part of the cost. The others get the same time.
        self.settle_seconds = 0.0 if options.requests else 0.3
        self.small_bytes = 4096
        self.large_bytes = options.large_mib * MIB
        self.cold_bytes = options.cold_mib * MIB
        self.descriptors = machine.raise_descriptor_limit()
        self.clients = min(options.clients, machine.slow_clients_max(self.descriptors))
        self.is_root = os.geteuid() == 0


def names(choices):
    def of(text):
        chosen = [name.strip() for name in text.split(",")]
        if unknown := [name for name in chosen if name not in choices]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among "
                                             f"{', '.join(choices)}")
        return chosen
    return of


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add = parser.add_argument
    add("--rows", type=names(list(BY_NAME)), help="a,b,…; all by default")
    add("--servers", type=names(list(servers.contenders())), help="a,b,…; all by default")
    add("--list", action="store_true", help="names the rows and the servers")
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=3.0, help="of each measurement")
    add("--json", type=pathlib.Path, help="every figure of every round")
    add("--markdown", type=pathlib.Path, help="the table that is printed")
    add("--svg", type=pathlib.Path, help="the chart")
    add("--server-core", type=int, default=0)
    add("--client-core", type=int, default=1)
    add("--clients", type=int, default=10_000, help="slow ones")
    add("--large-mib", type=int, default=1024)
    add("--cold-mib", type=int, default=1024, help="size of each of the 8 cold files")
    add("--requests", type=int, default=0, help="ends each measurement after so many, for trials")
    add("--dir", type=pathlib.Path, default=pathlib.Path("/var/tmp"),
        help="where files and ledgers are put for the time being: on a real disk")
    add("--programs", type=pathlib.Path, default=PROJECT / "build/release")
    add("--tallygate", type=pathlib.Path, help="another binary")
    add("--host-network", action="store_true", help="stay in the machine's own network")
    return parser.parse_args(arguments)


def write_files(settings, rows):
    """What is served: real blocks on a real disk, not holes."""
    block = os.urandom(MIB)

    def write(path, size):
        file = settings.files / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "wb") as out:
            for _ in range(size // MIB):
                out.write(block)
            out.write(block[:size % MIB])
            out.flush()
            os.fsync(out.fileno())

    write("samples/sample.pdf", settings.small_bytes)
    if any(row.file == "large" for row in rows):
        write("music/album.flac", settings.large_bytes)
    if any(row.kind == "cold" for row in rows):
        for number in range(COLD_STREAMS):
            write(f"cold/{number}.flac", settings.cold_bytes)


def make_certificate(settings):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "30", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", settings.certificate_key,
         "-out", settings.certificate], check=True, capture_output=True, timeout=60)
    settings.certificate_key.chmod(0o600)


@dataclasses.dataclass
class Outcome:
    """What came of all rounds."""
    results: dict  # row → server → for each round its figures, or None if the round is void
    skipped: dict  # (row, server) → why it cannot be measured here
    void: list     # (row, server, round, what was wrong)


def measure_all(rows, wanted, settings, rounds, slow_disk):
    outcome = Outcome({row.name: {} for row in rows}, {}, [])
    for round_number in range(1, rounds + 1):
        for row in rows:
            order = [name for name in row.contenders if wanted is None or name in wanted]
            # Forwards and backwards in turns: nobody is always the one after the heavy one.
            for name in order if round_number % 2 else reversed(order):
                if (row.name, name) in outcome.skipped:
                    continue
                print(f"\r\033[Kround {round_number} of {rounds}: {row.name}, {name}", end="",
                      file=sys.stderr, flush=True)
                figures = None
                try:
                    figures = measure(row, name, settings, slow_disk)
                except servers.Unavailable as reason:
                    outcome.skipped[row.name, name] = " ".join(str(reason).split())
                    continue
                except WrongAnswer as failure:
                    print(f"\n{row.name}, {name}: {failure}", file=sys.stderr)
                    outcome.void.append((row.name, name, round_number, str(failure)))
                outcome.results[row.name].setdefault(name, []).append(figures)
    print("\r\033[K", end="", file=sys.stderr, flush=True)
    return outcome


def run(options):
    """Returns the outcome and the text of the table."""
    rows = [BY_NAME[name] for name in options.rows] if options.rows else list(ROWS)
    network = "the machine's own network" if options.host_network else machine.own_network()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tallygate-load-", dir=options.dir))
    folder.chmod(0o755)  # nginx's worker may be another user
    slow_disk = None
    try:
        settings = Settings(options, folder)
        slow_disk = machine.SlowDisk(folder, SLOW_DISK_BYTES_PER_SECOND)
        write_files(settings, rows)
        if any(row.tls for row in rows):
            make_certificate(settings)
        outcome = measure_all(rows, options.servers, settings, options.rounds, slow_disk)
    finally:
        if slow_disk is not None:
            slow_disk.close()
        shutil.rmtree(folder, ignore_errors=True)
    about = machine.description(PROJECT) | {
        "date": datetime.date.today().isoformat(),
        "how": f"Server on core {options.server_core}, client on core {options.client_core}, "
               f"loopback ({network}), {options.rounds} rounds of {options.seconds:g} s in turns, "
               f"medians; {settings.clients} slow clients."}
    text = report.markdown(rows, outcome, about)
    if options.json:
        options.json.write_text(json.dumps({
            "about": about, "results": outcome.results, "void": outcome.void,
            "skipped": [[*who, reason] for who, reason in outcome.skipped.items()]}, indent=1))
    if options.markdown:
        options.markdown.write_text(text)
    if options.svg:
        options.svg.write_text(chart.svg(rows, outcome.results, about))
    return outcome, text


def end(*_):
    """What was started is stopped and what was written removed, on the way out; once is enough."""
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)
    sys.exit(130)


def main(arguments=None):
    options = parse(arguments)
    if options.list:
        print("\n".join(f"{row.name:16} {row.title}: {', '.join(row.contenders)}" for row in ROWS))
        return 0
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, end)
    print(run(options)[1], end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
