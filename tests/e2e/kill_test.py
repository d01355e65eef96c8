"""kill -9 at random moments under load, round after round; the oracle is what the clients hold.

Every customer notes which bytes it got and which the server may have sent it. Both notes live in
this process, not on the server's disk. After each kill, used(got) <= used <= min(limit, used(may))
for every link; in the end every customer has its copy, and who comes then gets no more than what
may be read beyond the last copy and what the kills left in doubt.
"""

import threading
import time
import unittest

from command_case import health
from counting import (IN_BUFFERS, SMALL_BUFFER, CountingTestCase, allowance, byte_range,
                      read_until_cut)
from support import KIB, MIB, Closed, eventually, seeded

# What may have left beyond what a client holds: two leases and what was on its way.
AHEAD = 4 * MIB + IN_BUFFERS
REFUSALS_MAX = 60  # of one customer; each took the server up to two seconds


def depth(size, spans):
    """How often the least often covered byte of [0, size) is covered."""
    edges = {0: 0}
    for first, last in spans:
        if first < last:
            edges[first] = edges.get(first, 0) + 1
            edges[last] = edges.get(last, 0) - 1
    depths, now = [], 0
    for position in sorted(edges):
        if position < size:
            now += edges[position]
            depths.append(now)
    return min(depths)


class Gate:
    """Who is inside talks to the server; who is outside waits until there is one."""

    def __init__(self):
        self.changed = threading.Condition()
        self.is_open, self.inside = True, 0

    def __enter__(self):
        with self.changed:
            self.changed.wait_for(lambda: self.is_open)
            self.inside += 1

    def __exit__(self, *_):
        with self.changed:
            self.inside -= 1
            self.changed.notify_all()

    def set(self, is_open):
        with self.changed:
            self.is_open = is_open
            self.changed.notify_all()

    def wait_until_empty(self):
        with self.changed:
            self.changed.wait_for(lambda: self.inside == 0)


class Order:
    """A link that as many customers want to use as it has copies, and what became of it."""

    def __init__(self, link, url, content, limit):
        self.link, self.url, self.content, self.limit = link, url, content, limit
        self.size = len(content)
        self.got, self.may = [], []  # spans
        self.unsettled = self.doubt = 0  # bytes, at most

    def note(self, first, reached, last):
        """One request for [first, last): the client holds it as far as `reached`."""
        self.got.append((first, reached))
        self.may.append((first, last if reached == last else min(last, reached + AHEAD)))
        self.unsettled += min(last - first, AHEAD)

    def killed(self):
        """Whatever was not yet known to be settled may be in doubt now."""
        self.doubt = min(self.doubt + self.unsettled, self.size * self.limit)
        self.unsettled = 0


class Customer(threading.Thread):
    """Wants one whole copy, in the pieces of its plan, and resumes until it has all of them."""

    def __init__(self, test, order, random):
        super().__init__()
        self.test, self.order = test, order
        self.have = bytearray(order.size)
        self.received = self.refusals = 0
        self.failure = None
        # So slow that kills meet it at work.
        self.part, self.pause = max(4 * KIB, order.size // 40), random.choice([0, 0.002, 0.006])
        cuts = random.choices(range(order.size), k=random.choice([0, 0, 3]))
        borders = sorted({0, *cuts, order.size})
        self.plan = list(zip(borders, borders[1:]))
        random.shuffle(self.plan)
        # What the line swallows when it breaks is little only for a file that is not small.
        self.breaks = random.random() < 0.3 and order.size >= 2 * MIB
        self.break_at = random.randrange(order.size)

    def run(self):
        try:
            while self.plan and not self.test.is_over:
                with self.test.gate:
                    self.connect()
        except BaseException as failure:  # shown by the test
            self.failure = failure

    def connect(self):
        try:
            client = self.test.server.client(receive_buffer=SMALL_BUFFER)
        except ConnectionError:
            return  # it has just been killed
        with client:
            while self.plan and self.ask(client, *self.plan[0]):
                self.plan.pop(0)

    def ask(self, client, first, last):
        """One request; whether all of it came."""
        whole, to_end = (first, last) == (0, self.order.size), last == self.order.size
        reached = first
        try:
            client.request(self.order.url,
                           () if whole else byte_range(first, None if to_end else last))
            head = client.read_head()
            if head.status not in (200, 206):
                head.body = client.read(head.length)
                return self.refused(head.problem)
            while reached < last:
                wanted = min(self.part, last - reached)
                part = read_until_cut(client, wanted)
                time.sleep(self.pause)
                self.have[reached:reached + len(part)] = part
                reached += len(part)
                self.received += len(part)
                self.plan[0] = (reached, last)
                if len(part) < wanted or (reached < last and self.break_off(client)):
                    break
        except (Closed, ConnectionError):
            pass  # killed before it answered
        self.order.note(first, reached, last)
        return reached == last

    def refused(self, problem):
        self.test.assertIn(problem, ("downloads-in-progress", "temporarily-unavailable"))
        self.refusals += 1
        self.test.assertLess(self.refusals, REFUSALS_MAX)
        return False

    def break_off(self, client):
        """Before the first kill, since what breaks off afterwards uses up what was in doubt."""
        if not self.breaks or self.received < self.break_at or self.test.kills:
            return False
        self.breaks = False
        time.sleep(0.3)  # as counting.break_off: what was read is acknowledged before the reset
        client.reset()
        return True


class KillTest(CountingTestCase):
    settings = {"server": {"threads": 2}}

    def setUp(self):
        super().setUp()
        self.server.write("/first", b"1")
        self.gate = Gate()
        self.is_over = False
        self.addCleanup(self.let_go)

    def let_go(self):
        """Where the test has failed, customers are left."""
        self.is_over = True
        self.gate.set(True)

    def order(self, random, size, limit):
        path = f"/{random.randrange(1 << 60)}"
        content = self.server.write(path, random.randbytes(size))
        return Order(*self.link(path, limit), content, limit)

    def used(self, orders):
        """Of each order: the copies that are used, and whether nothing of it is in flight."""
        links = self.server.exported_links()
        fresh = {"counted": 0, "copies": 0, "in_flight": 0}
        found = [links.get(order.link, fresh) for order in orders]
        for link in found:
            self.assertEqual(link["counted"], link["copies"])
        return [(link["copies"], link["in_flight"] == 0) for link in found]

    def expect_used_up(self, orders):
        eventually(lambda: self.used(orders), [(order.limit, True) for order in orders])

    def serve_under_kills(self, random, orders, kills):
        """All customers of all orders at once, and a kill at so many moments of their progress."""
        self.kills = 0
        customers = [Customer(self, order, random) for order in orders for _ in range(order.limit)]
        total = sum(order.size * order.limit for order in orders)
        moments = sorted(random.randrange(total + 1) for _ in range(kills))
        for customer in customers:
            customer.start()
        for moment in moments:
            while sum(c.received for c in customers) < moment and any(
                    c.is_alive() for c in customers):
                time.sleep(0.001)
            time.sleep(random.choice([0, 0.02, 0.15]) * random.random())
            self.kill_and_start(random, orders)
        for customer in customers:
            customer.join(300)
            self.assertIsNone(customer.failure)
            self.assertFalse(customer.is_alive(), customer.plan)
            self.assertEqual(customer.have, customer.order.content)
        self.expect_used_up(orders)

    def kill_and_start(self, random, orders):
        self.gate.set(False)
        self.kills += 1
        self.server.kill()
        self.gate.wait_until_empty()
        self.server.start()
        if random.random() < 0.2:  # once more, before anybody has come
            self.server.kill()
            self.server.start()
        self.assertEqual(health(self.server)["status"], "ok")
        self.assertEqual(self.fetch(self.link("/first", 1)[1]), "ok")
        for order, (used, settled) in zip(orders, self.used(orders)):
            order.killed()
            self.assertTrue(settled)
            self.assertLessEqual(min(order.limit, depth(order.size, order.got)), used)
            self.assertLessEqual(used, min(order.limit, depth(order.size, order.may)))
        self.gate.set(True)

    def expect_no_further_copy(self, random, order):
        """Somebody who has nothing yet takes whatever is still to be had, from everywhere."""
        piece = max(1, order.size // 32)
        spans = [(first, min(first + piece, order.size)) for first in range(0, order.size, piece)]
        random.shuffle(spans)
        got = []
        with self.server.client() as client:
            for first, last in spans:
                response = client.ask(order.url, byte_range(first, last))
                if response.status == 206:
                    got.append((first, last))
                else:
                    self.assertEqual(response.problem, "downloads-exhausted")
        beyond = allowance(order.size) + order.doubt
        self.assertLessEqual(sum(last - first for first, last in got), beyond)
        # Every customer holds one copy. More are held only as far as copies were in doubt.
        self.assertLessEqual(depth(order.size, got), beyond // order.size)

    def test_fifty_kills_forget_no_copy_give_none_away_and_let_everybody_finish(self):  # J1, H4, H6
        random = seeded("fifty kills")
        orders = []
        for _ in range(50):
            sizes = [random.choice([1, 300 * KIB, 2 * MIB, 6 * MIB]) for _ in range(3)]
            wave = [self.order(random, random.randint(1, size), random.randint(1, 3))
                    for size in sizes]
            settled, *others = wave
            self.serve_under_kills(random, [settled], 0)
            settled.unsettled = 0  # the disk has all of it, so a kill leaves nothing in doubt
            # One kill each: a transfer of a small file that two kills cut may have used up what
            # was in doubt.
            self.serve_under_kills(random, others, 1)
            settled.killed()
            for order in wave:
                self.expect_no_further_copy(random, order)
            orders += wave
        self.kill_and_start(random, orders)
        self.expect_used_up(orders)

    def test_a_large_file_is_finished_however_often_the_server_is_killed(self):
        random = seeded("large files")
        # Much larger than a lease: of a smaller one, kill after kill can put more in doubt than
        # may be fetched again.
        for size, limit, kills in ((24, 1, 4), (16, 3, 3), (40, 2, 6), (96, 1, 3)):
            order = self.order(random, size * MIB, limit)
            self.serve_under_kills(random, [order], kills)
            self.expect_no_further_copy(random, order)
            # After one more kill it is still so.
            self.kill_and_start(random, [order])
            self.expect_used_up([order])


if __name__ == "__main__":
    unittest.main()
