"""The rows of the table: what is done, who does it, and what the targets of tallygate are."""

import dataclasses

UNLIMITED, COUNTED = "tallygate", "tallygate counted"
NGINX = ("nginx", "nginx nopush off", "nginx aio threads")
SECURE_LINK = ("secure_link", "secure_link no sendfile")
LUA = ("Lua + Redis", "Lua + Redis no sendfile")

# Figures of a measurement: name → what stands above its column, digits, whether more is better.
FIGURES = {
    "per_second": ("requests/s", 0, True),
    "cpu_us": ("µs CPU/request", 1, False),
    "gib_s": ("GiB/s", 2, True),
    "cpu_gib": ("CPU-s/GiB", 3, False),
    "p50_ms": ("p50 ms", 3, False),
    "p99_ms": ("p99 ms", 3, False),
    "cold_mib_s": ("cold MiB/s", 0, True),
    "resident": ("resident B/connection", 0, False),
    "resumed": ("resumed %", 0, True),
}


@dataclasses.dataclass(frozen=True)
class Target:
    """`who`'s `figure` is at least (or, where less is better, at most) `factor` times the best of
    `against`."""
    who: str
    figure: str
    against: tuple
    factor: float


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    title: str
    figures: tuple          # the first is the one that is charted
    contenders: tuple
    client: dict            # options of bench.load.client
    file: str = "small"     # or "large"
    links: str = "one"      # "each": one for each connection; "unique": one for each request
    limit: int = 1_000_000  # of a counted link
    kind: str = "load"      # or "slow", "cold"
    tls: bool = False
    throttled: bool = False
    targets: tuple = ()


SMALL = ("per_second", "cpu_us", "p99_ms")
BULK = ("cpu_gib", "gib_s")


def _large(connections):
    plural = "s" if connections > 1 else ""
    return Row(
        f"large-{connections}", f"1 GiB bodies, {connections} connection{plural}", BULK,
        ("limit", UNLIMITED, COUNTED, *NGINX), {"connections": connections}, file="large",
        links="each", targets=(Target(UNLIMITED, "cpu_gib", NGINX, 1.0),
                               Target(COUNTED, "cpu_gib", NGINX, 1.05)))


def _slow(name, title, contenders, tls=False):
    client = {"mode": "slow", **({"tls": "new"} if tls else {})}
    return Row(name, title, ("resident",), contenders, client, file="large", kind="slow", tls=tls,
               targets=(Target(UNLIMITED, "resident", ("nginx",), 0.4),))


def _cold(name, title, throttled):
    threads = ("nginx aio threads",)
    return Row(
        name, title, ("p99_ms", "p50_ms", "cold_mib_s"), ("limit", UNLIMITED, "nginx", *threads),
        {"mode": "probe", "connections": 16, "rate": 500}, kind="cold", throttled=throttled,
        targets=(Target(UNLIMITED, "p99_ms", threads, 0.5),
                 Target(UNLIMITED, "cold_mib_s", threads, 1.0)))


ROWS = (
    Row("unique", "4 KiB, every request another signed link", SMALL,
        ("limit", UNLIMITED, COUNTED, *SECURE_LINK, *LUA), {"connections": 64}, links="unique",
        limit=3, targets=(Target(UNLIMITED, "per_second", SECURE_LINK, 1.4),
                          Target(UNLIMITED, "per_second", ("limit",), 0.7),
                          Target(COUNTED, "per_second", SECURE_LINK, 1.2),
                          Target(COUNTED, "per_second", LUA, 3.5))),
    Row("keep-alive", "4 KiB, one link, kept connections", SMALL,
        ("limit", UNLIMITED, "nginx", "nginx no sendfile", *SECURE_LINK), {"connections": 64}),
    Row("new-connection", "4 KiB, a connection for each request", SMALL,
        ("limit", UNLIMITED, "nginx", "nginx no sendfile"),
        {"connections": 32, "mode": "new_each"},
        targets=(Target(UNLIMITED, "per_second", ("nginx", "nginx no sendfile"), 1.0),)),
    Row("ranges", "1 MiB ranges at random places, 8 connections", BULK,
        ("limit", UNLIMITED, COUNTED, *NGINX, "Lua + Redis"),
        {"connections": 8, "range": 1 << 20}, file="large", links="each",
        targets=(Target(UNLIMITED, "cpu_gib", NGINX, 1.0),
                 Target(COUNTED, "cpu_gib", NGINX, 1.05))),
    _large(1), _large(4), _large(32),
    Row("tls-large", "TLS 1.3, 1 GiB bodies, 4 connections", BULK,
        (UNLIMITED, COUNTED, "nginx", "nginx no sendfile"), {"connections": 4, "tls": "new"},
        file="large", links="each", tls=True,
        targets=(Target(UNLIMITED, "cpu_gib", ("nginx", "nginx no sendfile"), 0.65),)),
    Row("tls-keep-alive", "TLS 1.3, 4 KiB, one link, kept connections", SMALL,
        (UNLIMITED, "nginx", "nginx no sendfile"), {"connections": 64, "tls": "new"}, tls=True,
        targets=(Target(UNLIMITED, "per_second", ("nginx", "nginx no sendfile"), 1.3),)),
    Row("tls-full", "TLS 1.3, full handshake for each request", SMALL,
        (UNLIMITED, "nginx"), {"connections": 16, "mode": "new_each", "tls": "new"}, tls=True),
    Row("tls-resumed", "TLS 1.3, resumed handshake for each request", (*SMALL, "resumed"),
        (UNLIMITED, "nginx"), {"connections": 16, "mode": "new_each", "tls": "resume"}, tls=True),
    _slow("slow", "slow clients", ("limit", UNLIMITED, "nginx")),
    _slow("tls-slow", "slow clients, TLS 1.3", (UNLIMITED, "nginx"), tls=True),
    _cold("cold", "hot probe beside 8 cold streams", throttled=False),
    _cold("cold-slow-disk", "hot probe beside 8 cold streams, disk throttled to 100 MB/s",
          throttled=True),
)
BY_NAME = {row.name: row for row in ROWS}
