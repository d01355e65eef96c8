"""PostgreSQL and MariaDB servers for the tests: real ones, each in a folder of its own.

Whoever tests a database needs one that can be stopped, killed, frozen, filled up and restored from
yesterday, and none of that may touch a database of the machine. So a server here has its own data
directory, its own Unix socket and its own loopback port, is found by its process id alone, and is
gone with its folder when the test ends, also when the test is killed.

Both refuse to run as root, so root's tests run them as the accounts that Debian made for them. Who
runs the tests administers them through the socket, where the kernel says who it is; all others come
with a password, which is never part of a URL. Statements are written with %s, as psycopg2 and
PyMySQL want them.

    with PostgresServer() as server:
        server.create_user("edge", "secret", ["CONNECT ON DATABASE shop"])
        server.execute("CREATE TABLE t (a int)")
        server.url("edge")                        # postgresql://edge@/shop?host=/tmp/…
"""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from support import PATIENCE, eventually

try:
    import psycopg2.extras
    import pymysql.cursors
except ImportError:  # another Python comes first in PATH than the system's, which has them
    sys.path.append("/usr/lib/python3/dist-packages")
    import psycopg2.extras
    import pymysql.cursors

LONGEST_SOCKET_PATH = 107
IPC_RMID = 0
# Becomes the keeper of a server: when the test's end of its input is gone without a word, the test
# was killed, and the server, its processes, PostgreSQL's shared memory and the folders go as well.
KEEPER = """
read -r _ && exit
kill -STOP "$1" && kill -KILL $(cat "/proc/$1/task/$1/children") "$1"
memory=$(awk 'NR == 7 { print $2 }' "$2/postmaster.pid") && ipcrm -m "$memory"
shift 2
rm -rf "$@"
"""


def program(name, *folders):
    """Where a server's program is: often not in PATH. None when it is not installed."""
    return shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", os.defpath),
                                                    "/usr/local/sbin", "/usr/sbin"]))


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} exited with {done.returncode}:\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


def copy_folder(source, target):
    run("cp", "-a", "--reflink=auto", source, target)


def free_port():
    """A port that the kernel gives to no client by itself, so that a restart finds it free."""
    first_of_clients = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
                           .split()[0])
    low, high = (10000, first_of_clients) if first_of_clients > 12000 else (49152, 65536)
    while True:
        port = random.SystemRandom().randrange(low, high)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def process_state(process_id):
    """Its parent and its state as a letter; None when there is no such process."""
    try:
        text = pathlib.Path(f"/proc/{process_id}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent = text.rpartition(")")[2].split()[:2]
    return int(parent), state


def children(process_id):
    """PostgreSQL's processes lead groups of their own, so a signal to its group reaches one."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (state := process_state(entry)) and state[0] == process_id:
            found.append(int(entry))
    return found


def send_signal(process_id, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, number)


def make_reachable(folder):
    """Lets the server's account pass through folders of ours, such as those of mkdtemp."""
    for each in [folder, *folder.parents]:
        status = each.stat()
        if not status.st_mode & 0o001 and status.st_uid == os.geteuid():
            each.chmod(status.st_mode | 0o011)


class DatabaseServer:
    """What both kinds have in common; `PostgresServer` and `MariaServer` are started.

    `settings` are the server's own, by name. With `durable` a commit is on the disk when it is
    acknowledged; otherwise it outlives the server's end by SIGKILL, though not the machine's.
    `tls` is (certificate, key) as files; with `require_tls` nobody gets in by TCP without.
    `folder` takes the data directory, for a disk that is to fill up.
    As a context manager it starts, and at the end is removed.
    """

    account = None  # whom the server runs as when the tests are root's
    scheme = None
    stop_signal = signal.SIGTERM

    def __init__(self, *, durable=False, tls=None, require_tls=False, folder=None, settings=None,
                 database="shop"):
        self.durable, self.tls, self.require_tls = durable, tls, require_tls
        self.settings = settings or {}
        self.database = database
        self.passwords = {}
        self.process = None
        self.keeper = None
        self.is_frozen = False
        self.port = None
        self.account = type(self).account if os.geteuid() == 0 else None
        self.administrator = pwd.getpwuid(os.geteuid()).pw_name
        self.folder = self._make_folder()
        self.log_file = self.folder / "log"
        self.data = self.folder / "data"
        if folder is not None:
            make_reachable(pathlib.Path(folder))
            self.data = pathlib.Path(tempfile.mkdtemp(prefix="data-", dir=folder)) / "data"
            self._give(self.data.parent)
        try:
            copy_folder(self._template(), self.data)
            if tls:
                self._take_certificate()
        except BaseException:
            self.remove()
            raise

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, *_):
        self.remove()

    # -- its files

    def _make_folder(self):
        """Short enough for the path of a socket, however long TMPDIR is."""
        for parent in (tempfile.gettempdir(), "/tmp"):
            folder = pathlib.Path(tempfile.mkdtemp(prefix=f"tallygate-{self.scheme[:2]}-",
                                                   dir=parent))
            if len(str(folder / self._longest_name)) < LONGEST_SOCKET_PATH:
                self._give(folder)
                folder.chmod(0o711)
                return folder
            folder.rmdir()
        raise AssertionError("no folder with a path short enough for a socket")

    def _give(self, path):
        """Makes a file the server's."""
        if self.account:
            shutil.chown(path, self.account, self.account)

    def _run(self, *command):
        """Runs a program as the server's account."""
        identity = {}
        if self.account:
            identity = {"user": self.account, "group": self.account, "extra_groups": []}
        return run(*command, cwd="/", umask=0o077, **identity)

    def _template(self):
        """An initialised data directory, made once and copied, as to make one takes seconds.

        A name of its own until it is complete: whoever is killed in between leaves nothing that
        another would take for a template.
        """
        folder = pathlib.Path(tempfile.gettempdir()) / f"tallygate-databases-{os.geteuid()}"
        folder.mkdir(mode=0o711, exist_ok=True)
        if folder.lstat().st_uid != os.geteuid() or folder.is_symlink():
            raise AssertionError(f"{folder} is somebody else's")
        folder.chmod(0o711)
        template = folder / re.sub(r"[^\w.]+", "-", f"{self.scheme}-{self._version()}")
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not template.exists():
                for left_behind in folder.glob(f"{self.scheme}-draft-*"):
                    shutil.rmtree(left_behind)
                draft = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.scheme}-draft-", dir=folder))
                self._give(draft)
                self._initialise(draft / "data")
                (draft / "data").rename(template)
                draft.rmdir()
        return template

    def _take_certificate(self):
        """Copies of their own: a server refuses a key that others may read or own."""
        for name, source in zip(("certificate.pem", "key.pem"), self.tls):
            target = self.folder / name
            shutil.copyfile(source, target)
            target.chmod(0o600)
            self._give(target)

    def backup(self):
        """Keeps a copy of the data directory; the server must be stopped."""
        self._must_be_stopped()
        shutil.rmtree(self.folder / "backup", ignore_errors=True)
        copy_folder(self.data, self.folder / "backup")

    def restore(self):
        """Puts the copy back, as a shop does that had to go back to yesterday."""
        self._must_be_stopped()
        self._clean_up()
        shutil.rmtree(self.data)
        copy_folder(self.folder / "backup", self.data)

    def _must_be_stopped(self):
        if self.is_running():
            raise AssertionError("a data directory in use is not to be copied")

    def remove(self):
        """Ends it the quick way, as nobody needs its data any more."""
        if self.is_running():
            self._end_at_once()
        self._clean_up()
        if os.environ.get("TALLYGATE_KEEP"):
            print(f"kept: {self.folder}", flush=True)
            return
        if self.data.parent != self.folder:
            shutil.rmtree(self.data.parent, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end_at_once(self):
        self.kill()

    def _clean_up(self):
        """Takes away what one that was killed has left elsewhere than in its folder."""

    # -- its process

    @property
    def process_id(self):
        return self.process.pid

    def start(self):
        """Starts it, on the same port as before, and waits until it answers."""
        if self.is_running():
            raise AssertionError("it runs already")
        is_first = self.port is None
        while True:
            if is_first:
                self.port = free_port()
            if self._launch():
                break
            said = self.log()
            if not (is_first and "Address already in use" in said):
                raise AssertionError(f"{self.scheme}: no start:\n{said}")
        if is_first:
            self._first_start()
        return self

    def _launch(self):
        """False when it ended before it answered."""
        identity = {}
        if self.account:
            identity = {"user": self.account, "group": self.account, "extra_groups": []}
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                list(map(str, self._command())), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd="/", umask=0o077, start_new_session=True, **identity)
        self.is_frozen = False
        self.keeper = subprocess.Popen(
            ["sh", "-c", KEEPER, "sh", str(self.process.pid), self.data, self.folder,
             self.data.parent],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            try:
                self._connect(self.administrator, None, self._first_database, False).close()
                return True
            except (psycopg2.OperationalError, pymysql.OperationalError) as failure:
                if time.monotonic() > deadline:
                    self.kill()
                    raise AssertionError(f"{self.scheme}: no answer ({failure}):\n"
                                         f"{self.log()}") from failure
            time.sleep(0.02)
        self._dismiss_keeper()
        return False

    def _first_start(self):
        self.create_database(self.database)

    def _dismiss_keeper(self):
        if self.keeper is not None:
            self.keeper.communicate(b"\n")
            self.keeper = None

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Lets it end in order, however many clients are connected; insists after a while."""
        self.thaw()
        if self.is_running():
            self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
        self._dismiss_keeper()

    def kill(self):
        """SIGKILL for each of its processes.

        The first is stopped meanwhile: it starts no others, and as it takes note of no end, no id
        of theirs becomes that of a stranger.
        """
        if self.is_running():
            send_signal(self.process.pid, signal.SIGSTOP)
            eventually(lambda: (process_state(self.process.pid) or "T" * 2)[1] in "TtZ")
            others = children(self.process.pid)
            for each in others:
                send_signal(each, signal.SIGKILL)
            eventually(lambda: {(process_state(each) or "Z" * 2)[1] for each in others} <= {"Z"})
            self.process.kill()
            self.process.wait()
        self.is_frozen = False
        self._dismiss_keeper()

    def restart(self):
        """Starts again on the same data and port, after an end in order if it is running."""
        if self.is_running():
            self.stop()
        return self.start()

    def freeze(self):
        """Stops its processes where they are: connections stay, and nobody answers."""
        self.is_frozen = True
        send_signal(self.process.pid, signal.SIGSTOP)
        eventually(lambda: process_state(self.process.pid)[1], "T")
        others = children(self.process.pid)  # no more can be started
        for each in others:
            send_signal(each, signal.SIGSTOP)
        eventually(lambda: {(process_state(each) or "T" * 2)[1] for each in others} <= {"T", "Z"})

    def thaw(self):
        if self.is_frozen and self.is_running():
            for each in [*children(self.process.pid), self.process.pid]:
                send_signal(each, signal.SIGCONT)
        self.is_frozen = False

    @contextlib.contextmanager
    def frozen(self):
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def log(self):
        return self.log_file.read_text(errors="replace")

    # -- its clients

    def url(self, user, database=None, tcp=False, folder=None, port=None):
        """What a shop writes into its settings; `folder` and `port` are those of a proxy."""
        database = database or self.database
        if tcp:
            return f"{self.scheme}://{user}@127.0.0.1:{port or self.port}/{database}"
        return self._socket_url(user, database, folder or self.folder)

    def connect(self, user=None, password=None, database=None, tcp=False, **options):
        """A connection of psycopg2 or PyMySQL, for transactions that are to stay open.

        By default it is the administrator's, through the socket. `options` are the library's own.
        """
        return self._connect(user or self.administrator, password or self.passwords.get(user),
                             database or self.database, tcp, **options)

    def execute(self, sql, *values, user=None, database=None):
        """One statement, committed; returns the number of rows it changed."""
        return self._statement(sql, values, user, database, lambda cursor: cursor.rowcount)

    def change(self, sql, *values, user=None, database=None):
        """One statement, which must change one row."""
        changed = self.execute(sql, *values, user=user, database=database)
        assert changed == 1, f"{changed} rows changed by {sql} with {values}"

    def rows(self, sql, *values, user=None, database=None):
        return self._statement(sql, values, user, database,
                               lambda cursor: [dict(row) for row in cursor.fetchall()])

    def value(self, sql, *values, user=None, database=None):
        """The first column of the first row; None when there is none."""
        for row in self.rows(sql, *values, user=user, database=database):
            return next(iter(row.values()))
        return None

    def _statement(self, sql, values, user, database, result):
        with contextlib.closing(self.connect(user, database=database)) as connection:
            self._commit_each(connection)
            with connection.cursor() as cursor:
                cursor.execute(sql, values or None)  # without values a % is a %
                return result(cursor)

    def grant(self, user, *grants):
        """Each as the server's own GRANT has it, up to TO: "SELECT, UPDATE ON tg_link"."""
        for each in grants:
            what, option, _ = each.partition(" WITH GRANT OPTION")
            self.execute(f"GRANT {what} TO {self._quoted_user(user)}{option}")


class PostgresServer(DatabaseServer):
    account = "postgres"
    scheme = "postgresql"
    stop_signal = signal.SIGINT  # SIGTERM waits until the clients have gone by themselves
    superuser = "postgres"
    _longest_name = ".s.PGSQL.12345.lock"
    socket_name = ".s.PGSQL.5432"  # where clients look when a URL names nothing but a folder
    _first_database = "postgres"

    @staticmethod
    def binary(name):
        """Debian keeps versions side by side, none of them in PATH; the newest is taken."""
        folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"),
                         key=lambda each: float(each.parent.name), reverse=True)
        return program(name, *map(str, folders))

    @classmethod
    def is_installed(cls):
        return cls.binary("postgres") is not None

    def __init__(self, **options):
        super().__init__(**options)
        self.administrator = self.superuser

    def _version(self):
        return run(self.binary("postgres"), "--version")

    def _initialise(self, data):
        self._run(self.binary("initdb"), "-D", data, "-U", self.superuser, "-E", "UTF8",
                  "--locale=C", "-A", "scram-sha-256", "--auth-local=peer", "--no-sync",
                  "--wal-segsize=1")

    def _command(self):
        me = pwd.getpwuid(os.geteuid()).pw_name
        (self.data / "pg_ident.conf").write_text(f'tests "{me}" {self.superuser}\n')
        tcp = "hostssl" if self.require_tls else "host"
        (self.data / "pg_hba.conf").write_text(
            f"local all {self.superuser} peer map=tests\n"
            "local all all scram-sha-256\n"
            f"{tcp} all all 127.0.0.1/32 scram-sha-256\n")
        usual = self.folder / self.socket_name
        if not usual.is_symlink():
            usual.symlink_to(f".s.PGSQL.{self.port}")
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port,
            "unix_socket_directories": self.folder,
            "shared_buffers": "16MB", "max_connections": 60, "max_wal_size": "64MB",
            "min_wal_size": "2MB", "wal_level": "minimal", "max_wal_senders": 0, "jit": "off",
            "max_parallel_workers": 0, "dynamic_shared_memory_type": "mmap",
            "logging_collector": "off", "fsync": "on" if self.durable else "off",
        }
        if self.tls:
            settings |= {"ssl": "on", "ssl_cert_file": self.folder / "certificate.pem",
                         "ssl_key_file": self.folder / "key.pem"}
        settings |= self.settings
        return [self.binary("postgres"), "-D", self.data,
                *(f"--{name}={value}" for name, value in settings.items())]

    def _end_at_once(self):
        """Immediate shutdown gives its shared memory back, which no folder takes along."""
        self.thaw()
        self.process.send_signal(signal.SIGQUIT)
        self.stop()

    def _clean_up(self):
        """The shared memory of one that was killed: a start would have found it."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            ctypes.CDLL(None).shmctl(int(lines[6].split()[1]), IPC_RMID, None)

    def _socket_url(self, user, database, folder):
        return f"postgresql://{user}@/{database}?host={folder}"

    def _connect(self, user, password, database, tcp, **options):
        return psycopg2.connect(**{
            "user": user, "password": password, "dbname": database, "port": self.port,
            "host": "127.0.0.1" if tcp else str(self.folder), "connect_timeout": int(PATIENCE),
            "cursor_factory": psycopg2.extras.RealDictCursor} | options)

    @staticmethod
    def _commit_each(connection):
        connection.autocommit = True

    @staticmethod
    def _quoted_user(user):
        return f'"{user}"'

    def create_user(self, name, password, grants=()):
        self.passwords[name] = password
        self.execute(f"CREATE ROLE {self._quoted_user(name)} LOGIN PASSWORD %s", password)
        self.grant(name, *grants)

    def create_database(self, name, owner=None):
        owner = f" OWNER {self._quoted_user(owner)}" if owner else ""
        self.execute(f'CREATE DATABASE "{name}"{owner}', database=self._first_database)

    def make_owner(self, user):
        """Gives everything in the database, and the right to make tables in it."""
        self.execute(f'ALTER DATABASE "{self.database}" OWNER TO {self._quoted_user(user)}')


class MariaServer(DatabaseServer):
    account = "mysql"
    scheme = "mysql"
    _longest_name = socket_name = "mysql.sock"
    _first_database = "mysql"
    # The template's files must suit the servers' settings.
    SIZES = ("--innodb-log-file-size=4M", "--innodb-data-file-path=ibdata1:12M:autoextend")

    @staticmethod
    def binary(name):
        return program(name)

    @classmethod
    def is_installed(cls):
        return cls.binary("mariadbd") is not None

    def _version(self):
        return run(self.binary("mariadbd"), "--no-defaults", "--version")

    def _initialise(self, data):
        data.mkdir(mode=0o700)
        self._give(data)
        self._run(self.binary("mariadb-install-db"), "--no-defaults", f"--datadir={data}",
                  "--auth-root-authentication-method=socket",
                  f"--auth-root-socket-user={self.administrator}", "--skip-test-db",
                  "--skip-name-resolve", *self.SIZES)

    def _command(self):
        settings = {
            "datadir": self.data, "socket": self.folder / self.socket_name, "port": self.port,
            "pid-file": self.folder / "pid", "bind-address": "127.0.0.1",
            "skip-name-resolve": "ON", "performance-schema": "OFF", "skip-log-bin": None,
            "character-set-server": "utf8mb4", "max-connections": 60,
            "innodb-buffer-pool-size": "16M", "innodb-buffer-pool-dump-at-shutdown": "OFF",
            "innodb-buffer-pool-load-at-startup": "OFF", "innodb-use-native-aio": "OFF",
            "key-buffer-size": "1M", "aria-pagecache-buffer-size": "8M",
            # What is not synced has been written: it outlives the process.
            "innodb-flush-log-at-trx-commit": 1 if self.durable else 2,
            "innodb-flush-method": "fsync" if self.durable else "nosync",
        }
        if self.tls:
            settings |= {"ssl-cert": self.folder / "certificate.pem",
                         "ssl-key": self.folder / "key.pem",
                         "require-secure-transport": "ON" if self.require_tls else "OFF"}
        settings |= self.settings
        return [self.binary("mariadbd"), "--no-defaults", *self.SIZES,
                *(f"--{name}" if value is None else f"--{name}={value}"
                  for name, value in settings.items())]

    def _socket_url(self, user, database, folder):
        return f"mysql://{user}@localhost/{database}?socket={folder}/{self.socket_name}"

    def _connect(self, user, password, database, tcp, **options):
        where = ({"host": "127.0.0.1", "port": self.port} if tcp else
                 {"unix_socket": str(self.folder / self.socket_name)})
        return pymysql.connect(**where | {
            "user": user, "password": password or "", "database": database, "charset": "utf8mb4",
            "connect_timeout": int(PATIENCE), "cursorclass": pymysql.cursors.DictCursor} | options)

    @staticmethod
    def _commit_each(connection):
        connection.autocommit(True)

    @staticmethod
    def _quoted_user(user):
        return f"'{user}'@'%'"

    def create_user(self, name, password, grants=()):
        """Whoever has no right in a database cannot connect to it: USAGE ON *.* is not enough."""
        self.passwords[name] = password
        # PyMySQL doubles no % when there are values.
        self.execute(f"CREATE USER '{name}'@'%%' IDENTIFIED BY %s", password)
        self.grant(name, *grants)

    def create_database(self, name, owner=None):
        self.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4",
                     database=self._first_database)
        if owner:
            self.grant(owner, f"ALL ON `{name}`.* WITH GRANT OPTION")

    def make_owner(self, user):
        """Everything in the database, triggers included, and the right to make and grant users."""
        self.grant(user, f"ALL ON `{self.database}`.* WITH GRANT OPTION", "CREATE USER ON *.*")


SERVERS = {"postgres": PostgresServer, "mariadb": MariaServer}
