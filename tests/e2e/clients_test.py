"""Real clients on a real file: broken off, resumed, right to the byte, and counted once."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import support
from support import MIB, PATIENCE, eventually

PACKAGE = "linux-source-6.1"  # 139 MB of Debian; where it cannot be had, as many random bytes
SIZE_MIN = 100_000_000
RATE = 30 * MIB  # bytes per second before the break, so that there is something to break off


def large_file():
    """A file of at least 100 MB, kept outside the tree for the next run."""
    cache = pathlib.Path(tempfile.gettempdir()) / f"tallygate-test-files-{os.getuid()}"
    cache.mkdir(mode=0o700, exist_ok=True)
    assert cache.stat().st_uid == os.getuid(), f"{cache} belongs to somebody else"
    found = [path for path in cache.glob("*.large") if path.stat().st_size >= SIZE_MIN]
    if found:
        return found[0]
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        folder = pathlib.Path(folder)
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["apt-get", "download", "-q", PACKAGE], cwd=folder, timeout=120,
                           check=True, capture_output=True)
        packages = list(folder.glob("*.deb"))
        draft = packages[0] if packages else folder / "random"
        if not packages:
            with open(draft, "wb") as file:
                for _ in range(120):
                    file.write(os.urandom(MIB))
        return draft.rename(cache / f"{draft.name}.large")


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Clients(support.TestCase):
    PATH = "/linux/Größe XL.deb"

    @classmethod
    def setUpClass(cls):
        cls.original = large_file()
        cls.size = cls.original.stat().st_size
        cls.digest = sha256(cls.original)

    def setUp(self):
        self.server = self.start_server()
        where = self.server.root / self.PATH.lstrip("/")
        where.parent.mkdir()
        try:
            where.hardlink_to(self.original)
        except OSError:  # another file system
            shutil.copyfile(self.original, where)
        self.target = self.server.folder / "downloaded"
        self.link_id = support.new_link_id()
        self.url = self.url_at(self.server.port)

    def url_at(self, port):
        return f"http://127.0.0.1:{port}" + self.server.sign(self.PATH, id=self.link_id, limit=1)

    def run_client(self, *command):
        return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              timeout=5 * PATIENCE, stdin=subprocess.DEVNULL)

    def received(self):
        """Bytes that are on the disk; aria2 writes in many places, and the file has holes."""
        return self.target.stat().st_blocks * 512 if self.target.exists() else 0

    def break_off(self, *command):
        """Runs a client until it has received a good part more, and kills it."""
        enough = self.received() + self.size // 5
        client = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: self.received() >= enough or client.poll() is not None)
            self.assertIsNone(client.poll(), f"{command[0]} has ended by itself")
        finally:
            client.kill()
            client.wait()
        self.assertLess(self.received(), self.size)

    def expect_one_copy(self):
        self.assertEqual(self.target.stat().st_size, self.size)
        self.assertEqual(sha256(self.target), self.digest)
        self.server.expect_link(self.link_id, used=1, copies=1, limit=1, blocked="copies")
        refused = self.run_client("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", self.url)
        self.assertEqual(refused.stdout, "403")

    def test_curl_killed_and_continued(self):
        curl = ["curl", "-sS", "--fail", "-C", "-", "-o", self.target, self.url]
        for _ in range(3):
            self.break_off(*curl, "--limit-rate", RATE)
        done = self.run_client(*curl)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.expect_one_copy()

    def test_curl_out_of_time_and_continued(self):
        curl = ["curl", "-sS", "--fail", "-C", "-", "-o", self.target, self.url]
        done = self.run_client(*curl, "--limit-rate", RATE, "--max-time", "2")
        self.assertEqual(done.returncode, 28, done.stderr)  # CURLE_OPERATION_TIMEDOUT
        done = self.run_client(*curl, "--retry", "3")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.expect_one_copy()

    def test_wget_killed_and_continued(self):
        wget = ["wget", "-q", "-c", "-O", self.target, self.url]
        for _ in range(3):
            self.break_off(*wget, f"--limit-rate={RATE}")
        done = self.run_client(*wget)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.expect_one_copy()

    def test_aria2_with_16_connections_killed_and_continued(self):
        aria2 = ["aria2c", "-q", "-c", "-x16", "-s16", "-k1M", "--file-allocation=none",
                 "--auto-save-interval=1", "-d", self.target.parent, "-o", self.target.name,
                 self.url]
        for _ in range(2):
            self.break_off(*aria2, f"--max-overall-download-limit={RATE}")
        done = self.run_client(*aria2)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.expect_one_copy()

    def test_every_client_names_the_file_as_the_shop_does(self):
        folder = self.server.folder / "named"
        folder.mkdir()
        done = subprocess.run(["curl", "-sS", "--fail", "-OJ", self.url], cwd=folder,
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        name, = os.listdir(folder)
        self.assertTrue(name.endswith("XL.deb"), name)

    def test_curl_through_nginx_with_its_default_buffering(self):
        port = self.start_nginx()
        url = self.url_at(port)
        curl = ["curl", "-sS", "--fail", "-C", "-", "-o", self.target, url]
        for _ in range(2):
            self.break_off(*curl, "--limit-rate", RATE)
        done = self.run_client(*curl)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.expect_one_copy()

    def start_nginx(self):
        """nginx as a proxy with nothing but proxy_pass set; returns its port."""
        folder = self.server.folder / "nginx"
        folder.mkdir()
        folder.chmod(0o755)
        self.server.folder.chmod(0o711)  # its workers are nobody
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = folder / "nginx.conf"
        config.write_text(f"""
            daemon off;
            pid {folder}/pid;
            error_log {folder}/error.log;
            events {{}}
            http {{
              access_log off;
              client_body_temp_path {folder}/body;
              proxy_temp_path {folder}/proxy;
              fastcgi_temp_path {folder}/fastcgi;
              uwsgi_temp_path {folder}/uwsgi;
              scgi_temp_path {folder}/scgi;
              server {{
                listen 127.0.0.1:{port};
                location / {{ proxy_pass http://127.0.0.1:{self.server.port}; }}
              }}
            }}""")
        nginx = subprocess.Popen(["/usr/sbin/nginx", "-p", folder, "-c", config,
                                  "-e", folder / "error.log"], stdin=subprocess.DEVNULL)
        self.addCleanup(nginx.wait, PATIENCE)
        self.addCleanup(nginx.terminate)

        def answers():
            self.assertIsNone(nginx.poll(), "nginx has ended by itself")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return True
            return False

        eventually(answers)
        return port


if __name__ == "__main__":
    support.main()
