"""The servers that are compared, each started in a folder of its own and stopped by its number.

A server is a context manager; inside it has `port`, `tls_port` and `pids()`. `scheme` says how the
client signs links for it. All of them serve the same files.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import machine

HERE = pathlib.Path(__file__).resolve().parent
SECRET = "6a09e667f3bcc908b2fb1366ea957d3e"  # 32 bytes of text: each server takes it as it is
PATIENCE = 60.0  # seconds, for a start or an end


class Unavailable(Exception):
    """This server cannot run here, or not so; the text says why."""


class Server:
    scheme = "none"

    def __init__(self, settings, group=None):
        self.settings, self.group = settings, group
        self.port = self.tls_port = None
        self.folder = None
        self.processes = []

    # -- for the kinds of servers

    def launch(self):
        """Starts the processes and waits until the ports are known and open."""
        raise NotImplementedError

    def spawn(self, *command):
        """A process on the servers' core; what it says goes to a file."""
        said = self.folder / f"said-{len(self.processes)}"
        with open(said, "wb") as output:
            process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, cwd=self.folder, start_new_session=True,
                preexec_fn=machine.before_exec(self.settings.server_core, self.group))
        self.processes.append(process)
        return process, said

    def wait_for(self, process, said, condition, what):
        """Until `condition` is true of what the process has said; an early end raises that."""
        deadline = time.monotonic() + PATIENCE
        while True:
            ended = process.poll() is not None
            text = said.read_text(errors="replace")
            if result := condition(text):
                return result
            if ended or time.monotonic() > deadline:
                raise Unavailable(f"{what} did not start: {text.strip()[-500:] or 'no word'}")
            time.sleep(0.005)

    # -- for those who measure

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="server-", dir=self.settings.folder))
        try:
            self.launch()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        everybody = self.pids()
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in everybody:  # nginx's workers, if their master had to be killed
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                if pathlib.Path(f"/proc/{pid}/cwd").readlink() == self.folder:
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def pids(self):
        """Of all its processes, children included."""
        parents = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                text = stat.read_text()
                parents[int(stat.parent.name)] = int(text[text.rindex(")"):].split()[2])
        ours = [process.pid for process in self.processes if process.poll() is None]
        for pid in ours:  # grows while it is walked through
            ours += [child for child, parent in parents.items() if parent == pid]
        return ours

    def complaints(self):
        """What it has logged, if something went wrong."""
        return "\n".join(file.read_text(errors="replace").strip()[-500:]
                         for file in sorted(self.folder.glob("said-*")))


def _free_port():
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        return any_socket.getsockname()[1]


def _answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


# -- ours ----------------------------------------------------------------------------------------

class Limit(Server):
    def launch(self):
        process, said = self.spawn(self.settings.programs / "bench/bench.load.limit",
                                   self.settings.files)
        self.port = self.wait_for(process, said, lambda text: _port(text, "limit: "), "the limit")


class Tallygate(Server):
    scheme = "tallygate"

    def __init__(self, settings, group=None, tls=False):
        super().__init__(settings, group)
        self.tls = tls

    def launch(self):
        keyring = self.folder / "keyring.toml"
        keyring.write_text(f'[[key]]\nid = "k1"\nsecret = "hex:{SECRET.encode().hex()}"\n'
                           'use = "sign"\n')
        keyring.chmod(0o600)
        tables = {
            "server": {"listen": ["127.0.0.1:0"], "threads": 1, "max_connections": 30_000,
                       "max_connections_per_address": 0,
                       "send_timeout": "1h", "idle_timeout": "1h", "drain_timeout": "0s"},
            "admin": {"socket": str(self.folder / "admin.sock")},
            "content": {"root": str(self.settings.files)},
            "links": {"keyring": str(keyring)},
            "ledger": {"dir": str(self.folder / "ledger")},
            "log": {"access": "off"},
        }
        if self.tls:
            tables["tls"] = {"listen": ["127.0.0.1:0"],
                             "certificate": str(self.settings.certificate),
                             "key": str(self.settings.certificate_key)}
        config = self.folder / "tallygate.toml"
        # JSON's spelling of texts, numbers and lists of them is TOML's as well.
        config.write_text("\n".join(
            line for table, values in tables.items()
            for line in (f"[{table}]", *(f"{name} = {json.dumps(value)}"
                                         for name, value in values.items()))) + "\n")
        process, said = self.spawn(self.settings.tallygate, "serve", "--config", config)
        self.port = self.wait_for(process, said, lambda text: _port(text, "tallygate: "),
                                  "tallygate")
        if self.tls:
            self.tls_port = self.wait_for(
                process, said, lambda text: _port(text, "tallygate: ", "https://"),
                "tallygate with TLS")


def _port(text, who, scheme="(?:http://)?"):
    found = re.search(rf"^{who}serving on {scheme}127\.0\.0\.1:(\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else None


# -- nginx ---------------------------------------------------------------------------------------

NGINX = """\
{modules}
daemon off;
worker_processes 1;
worker_rlimit_nofile {descriptors};
{user}
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections {descriptors}; }}
http {{
  access_log off;
  default_type application/octet-stream;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  send_timeout 1h;
  open_file_cache max=10000 inactive=1h;
  open_file_cache_valid 60s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {sending}
  {http}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    {tls}
    root {files};
    location / {{ {guard} }}
  }}
}}
"""

# How a body is sent. Which is best depends on its size, so the rows name several.
SENDING = {
    "nopush": "sendfile on; tcp_nopush on;",
    "push": "sendfile on; tcp_nopush off;",
    "threads": "sendfile on; tcp_nopush off; aio threads;",
    "buffered": "sendfile off; output_buffers 1 128k;",
}

TLS = """listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:16m; ssl_session_timeout 1h;"""

SECURE_LINK = """secure_link "$arg_s,$arg_e"; secure_link_md5 "$arg_e$uri$arg_id {secret}";
      if ($secure_link = "") {{ return 403; }} if ($secure_link = "0") {{ return 410; }}"""

LUA_START = """lua_package_path "{here}/?.lua;/usr/share/lua/5.1/?.lua;;";
  init_worker_by_lua_block {{ require("count").start("{secret}", "unix:{redis}") }}"""


class Nginx(Server):
    """`guard`: "static", "secure_link", or "lua", which counts in Redis."""

    def __init__(self, settings, group=None, sending="nopush", guard="static", tls=False):
        super().__init__(settings, group)
        self.sending, self.guard, self.tls = sending, guard, tls
        self.scheme = {"static": "none"}.get(guard, guard)

    def launch(self):
        program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            raise Unavailable("nginx is not installed")
        modules = http = tls = guard = ""
        if self.guard == "secure_link":
            guard = SECURE_LINK.format(secret=SECRET)
        elif self.guard == "lua":
            module_folder = pathlib.Path("/usr/lib/nginx/modules")
            names = [module_folder / f"{name}_module.so" for name in ("ndk_http", "ngx_http_lua")]
            if not all(name.exists() for name in names):
                raise Unavailable("libnginx-mod-http-lua is not installed")
            modules = "\n".join(f"load_module {name};" for name in names)
            http = LUA_START.format(here=HERE, secret=SECRET, redis=self.launch_redis())
            guard = 'access_by_lua_block { require("count").check() }'
        self.port = _free_port()
        if self.tls:
            self.tls_port = _free_port()
            tls = TLS.format(port=self.tls_port, certificate=self.settings.certificate,
                             key=self.settings.certificate_key)
        config = self.folder / "nginx.conf"
        config.write_text(NGINX.format(
            modules=modules, http=http, tls=tls, guard=guard, port=self.port, folder=self.folder,
            files=self.settings.files, sending=SENDING[self.sending],
            descriptors=self.settings.descriptors,
            user="user root;" if self.settings.is_root else ""))
        process, said = self.spawn(program, "-p", self.folder, "-e", "stderr", "-c", config)
        self.wait_for(process, said, lambda _: _answers(self.port), "nginx")

    def launch_redis(self):
        """Durable within a second: an append-only file, synced each second."""
        if shutil.which("redis-server") is None:
            raise Unavailable("redis-server is not installed")
        path = self.folder / "redis.sock"
        process, said = self.spawn(
            "redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly",
            "yes", "--appendfsync", "everysec", "--dir", self.folder, "--daemonize", "no")
        self.wait_for(process, said, lambda _: path.exists(), "redis-server")
        return path


def contenders(tls=False):
    """Name → how to start it; `tls` opens a second port where there is such a thing."""
    def nginx(sending, guard="static"):
        return lambda settings, group=None: Nginx(settings, group, sending, guard, tls)

    def tallygate(settings, group=None):
        return Tallygate(settings, group, tls)

    return {
        "limit": Limit,
        "tallygate": tallygate,
        "tallygate counted": tallygate,
        "nginx": nginx("nopush"),
        "nginx nopush off": nginx("push"),
        "nginx aio threads": nginx("threads"),
        "nginx no sendfile": nginx("buffered"),
        "secure_link": nginx("nopush", "secure_link"),
        "secure_link no sendfile": nginx("buffered", "secure_link"),
        "Lua + Redis": nginx("nopush", "lua"),
        "Lua + Redis no sendfile": nginx("buffered", "lua"),
    }
