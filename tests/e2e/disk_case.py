"""What the tests of the ledger's disk share: a server on a small disk, and what must still hold."""

import os
import subprocess
import time
import unittest

from command_case import CommandTest, ask_admin, health
from counting import SMALL_BUFFER, byte_range
from small_disk import SmallDisk, enter_own_mount_namespace
from support import KIB, MIB, eventually, new_link_id, some_bytes

LIMIT = 2  # more than the one copy that each link gives, so that counting twice shows too
LARGE = 16 * MIB
# Each fresh link takes at least a block of the journal.
MORE_THAN_FITS = 64 * MIB // (4 * KIB)


def require_disk():
    """For setUpModule: skips the module where there can be no disk of one's own."""
    try:
        if os.geteuid() != 0:
            raise OSError("only root can mount a disk")
        enter_own_mount_namespace()
        disk = SmallDisk()
        try:
            disk.mount()
        finally:
            disk.remove()
    except (OSError, subprocess.CalledProcessError) as failure:
        said = f"no disk of our own: {failure} {getattr(failure, 'stderr', '')}"
        print(said, flush=True)
        raise unittest.SkipTest(said) from None


class DiskTest(CommandTest):
    server_settings = {}

    def setUp(self):
        self.disk = SmallDisk()
        self.addCleanup(self.disk.remove)
        self.disk.mount()
        self.settings = {"server": {"threads": 2, **self.server_settings},
                         "ledger": {"dir": str(self.disk.ledger)}}

    def serve(self):
        self.server = self.start_server(self.settings)
        self.content = self.server.write("/small", some_bytes(KIB))
        self.large = self.server.write("/large", some_bytes(LARGE))
        self.free = self.server.sign("/small", id="free")

    # -- downloads

    def fresh(self, path="/small", limit=LIMIT):
        link = new_link_id()
        return link, self.server.sign(path, id=link, limit=limit)

    def download(self, client, url):
        """The whole file, or the refusal that there must be when nothing can be counted."""
        response = client.ask(url)
        if response.status == 200:
            self.assertEqual(response.body, self.content)
            return True
        self.expect_unavailable(response)
        return False

    def expect_unavailable(self, response):
        self.assertEqual((response.status, response.problem), (503, "temporarily-unavailable"))
        self.assertGreater(int(response.field("Retry-After")), 0)

    def count(self, downloads):
        """So many downloads of fresh links, all of which succeed; their ids."""
        links = []
        with self.server.client() as client:
            for _ in range(downloads):
                link, url = self.fresh()
                self.assertTrue(self.download(client, url))
                links.append(link)
        return links

    def fill_until_refused(self):
        """Downloads of fresh links while the disk is full; the ids of those that succeeded."""
        links = []
        with self.server.client() as client:
            for done in range(MORE_THAN_FITS):
                if done % 500 == 0:
                    self.disk.fill()  # also what the server has tidied away
                link, url = self.fresh()
                if not self.download(client, url):
                    return links
                links.append(link)
        raise AssertionError("a full disk still takes everything")

    def start_again(self):
        """Ready is who counts. (Also, files alone say what a crash left once somebody goes on.)"""
        self.server.start()
        self.expect_health("ok")
        self.count(1)

    def expect_refused(self, url):
        with self.server.client() as client:
            self.assertFalse(self.download(client, url))

    def expect_accepted_again(self, url):
        with self.server.client() as client:
            eventually(lambda: self.download(client, url), True)

    def expect_unlimited_go_on(self, connections=16):
        """On so many connections that every worker has some."""
        for _ in range(connections):
            response = self.server.get(self.free)
            self.assertEqual((response.status, response.body), (200, self.content))
        return connections

    def begin_large(self):
        """A download of a large file that has come as far as its first MiB."""
        link, url = self.fresh("/large", 1)
        client = self.server.client(receive_buffer=SMALL_BUFFER)
        self.addCleanup(client.close)
        client.request(url)
        self.assertEqual(client.read_head().status, 200)
        return link, url, client, client.read(MIB)

    def finish_large(self, link, url, received):
        if len(received) < LARGE:
            received += self.server.get(url, byte_range(len(received), None)).body
        self.assertEqual(received, self.large)
        self.server.expect_link(link, used=1, copies=1)

    # -- what the server does and says

    def is_quiet(self):
        """Whether the ledger writes nothing for half a second."""
        def written():
            return {file.name: file.stat().st_mtime_ns for file in self.disk.ledger.iterdir()}

        before = written()
        time.sleep(0.5)
        return written() == before

    def expect_health(self, status, reason=""):
        eventually(lambda: health(self.server)["status"], status)
        self.assertIn(reason, health(self.server)["ledger"].get("failure", ""))

    def expect_failed(self, reason):
        """Also as the status of the answer, for whoever looks only at that."""
        self.expect_health("failed", reason)
        self.assertEqual(ask_admin(self.server, "GET", "/healthz")[0], 503)
        self.assertNotEqual(health(self.server)["ledger"]["failure"], "")
        self.assertEqual(ask_admin(self.server, "GET", "/v1/live")[1]["status"], "failed")

    def copies(self, links):
        """What the ledger's files say of each link; 0 where they say nothing."""
        known = self.server.exported_links()
        return {link: known[link]["copies"] if link in known else 0 for link in links}

    def expect_counted_once(self, links):
        eventually(lambda: {link: n for link, n in self.copies(links).items() if n != 1}, {})

    def expect_copies_left(self, link):
        """One of two is used: one is left, and no more. (Not so where a crash left it in doubt.)"""
        url = self.server.sign("/small", id=link, limit=LIMIT)
        self.assertEqual([self.server.get(url).status for _ in range(2)], [200, 403])
