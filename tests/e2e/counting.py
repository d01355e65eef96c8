"""What the tests of counting share: downloads that stop where a test wants them to."""

import os
import time

from support import KIB, MIB, Closed, TestCase, eventually, new_link_id

# What can be on its way beyond what a client with a small receive buffer has read: the kernel's
# send buffer (4 or 6 MiB by default) and what the client's kernel has taken.
IN_BUFFERS = 8 * MIB
SMALL_BUFFER = 64 * KIB


def allowance(size):
    """A of the counting rule."""
    return min(size // 2, max(8 * MIB, size // 16))


class CountingTestCase(TestCase):
    """`self.server` with one worker, so that what one connection saw, all have seen."""

    settings = {"server": {"threads": 1}}

    def setUp(self):
        self.server = self.start_server(self.settings)

    def sparse(self, path, size):
        """Puts a file of zeros there by rename, which takes no room and no time."""
        draft = self.server.root / ".draft"
        draft.touch()
        os.truncate(draft, size)
        draft.rename(self.server.root / path.lstrip("/"))

    def link(self, path, limit, **fields):
        """A new link: its id and its request target."""
        link = new_link_id()
        return link, self.server.sign(path, id=link, limit=limit, **fields)

    def begin(self, request_target, first=None, last=None):
        """A connection that has sent its request, of bytes [first, last), and takes little."""
        client = self.server.client(receive_buffer=SMALL_BUFFER)
        self.addCleanup(client.close)
        client.request(request_target, byte_range(first, last))
        return client

    def fetch(self, request_target, first=None, last=None):
        """One request for bytes [first, last) to its end: "ok", or the name of the refusal."""
        with self.server.client() as client:
            client.request(request_target, byte_range(first, last))
            head = client.read_head()
            if head.status not in (200, 206):
                head.body = client.read(head.length)
                return head.problem
            client.discard(head.length)
            return "ok"

    def break_off(self, request_target, after, first=None):
        """Reads `after` bytes of the body and resets the connection."""
        client = self.begin(request_target, first)
        head = client.read_head()
        if head.status not in (200, 206):
            head.body = client.read(head.length)
            return head.problem
        client.discard(after)
        let_it_acknowledge()
        client.reset()
        return "ok"

    def expect_new_version(self, path):
        """Waits until the server has noticed that the file there is another one."""
        stat = os.stat(self.server.root / path.lstrip("/"))
        free = self.server.sign(path)
        eventually(lambda: self.server.get(free, method="HEAD").length, stat.st_size)


def let_it_acknowledge():
    """Between a client's last read and its reset (also a close with something unread is one).

    What was read is acknowledged within 200 ms (Linux's longest delay); a reset sooner than that
    would leave a hole where the client has its bytes and the server no word of them.
    """
    time.sleep(0.3)


def byte_range(first, last):
    if first is None and last is None:
        return ()
    return [("Range", f"bytes={first or 0}-{'' if last is None else last - 1}")]


def read_until_cut(client, length):
    """Reads at most `length` bytes; returns what came before the connection ended."""
    try:
        return client.read(length)
    except Closed as closed:
        return closed.received
    except ConnectionResetError:
        return bytes(client.received)
