"""A disk under the ledger that is full, stalls, dies or takes no writes.

What needs a count is refused and told when to come back, everything else goes on, and whatever was
counted before stays exactly counted.
"""

import shutil
import unittest

from command_case import FAILED, ask_admin
from counting import read_until_cut
from disk_case import LARGE, DiskTest, require_disk
from support import MIB, eventually


def setUpModule():
    require_disk()


class FullDisk(DiskTest):
    def fill(self):
        """Until the server can write no more; one link besides that it will refuse."""
        self.serve()
        self.counted = self.count(20) + self.fill_until_refused()
        self.refused, self.refused_url = self.fresh()

    def test_refuses_what_needs_a_count_and_nothing_else(self):  # J4
        self.fill()
        self.expect_refused(self.refused_url)
        self.expect_unlimited_go_on()
        self.expect_failed("No space left on device")
        self.assertEqual(self.server.get(self.refused_url, method="HEAD").status, 200)
        self.server.kill()
        self.disk.free()
        self.start_again()
        self.expect_counted_once(self.counted)
        self.assertEqual(self.copies([self.refused]), {self.refused: 0})
        self.expect_copies_left(self.counted[0])

    def test_counts_again_without_a_restart_when_there_is_room(self):  # J4
        self.fill()
        self.expect_failed("No space left on device")
        process = self.server.process
        self.disk.free()
        self.expect_accepted_again(self.refused_url)
        self.expect_health("ok")
        self.counted += [self.refused, *self.count(100)]
        self.assertIs(self.server.process, process)
        self.expect_counted_once(self.counted)
        for end in (self.server.stop, self.server.kill):
            end()
            self.start_again()
            self.expect_counted_once(self.counted)
        self.expect_copies_left(self.counted[-1])
        self.expect_copies_left(self.refused)

    def test_counts_unlimited_downloads_that_were_served_meanwhile(self):
        self.fill()
        served = self.expect_unlimited_go_on()
        self.disk.free()
        self.expect_accepted_again(self.refused_url)
        self.server.expect_link("free", used=served)
        self.server.restart()
        self.server.expect_link("free", used=served)

    def test_fills_up_a_second_time_without_losing_a_count(self):
        self.fill()
        self.disk.free()
        self.expect_accepted_again(self.refused_url)
        self.counted.append(self.refused)
        self.disk.fill()
        self.counted += self.fill_until_refused()
        self.disk.free()
        self.server.kill()
        self.start_again()
        self.expect_counted_once(self.counted)


@unittest.skipUnless(shutil.which("fsfreeze"), "there is no fsfreeze")
class StalledDisk(DiskTest):
    def test_holds_up_only_what_needs_a_count_and_that_not_for_ever(self):  # J16, O6
        self.serve()
        counted = self.count(20)
        large, url, transfer, received = self.begin_large()
        waiting = [(*self.fresh(), self.server.client()) for _ in range(8)]
        with self.disk.frozen():
            for _, fresh, client in waiting:
                self.addCleanup(client.close)
                client.request(fresh)
            # The workers that hold these requests serve others.
            free = self.expect_unlimited_go_on()
            for _, _, client in waiting:
                self.expect_unavailable(client.read_response())
            self.expect_failed("")
            self.expect_refused(self.fresh()[1])
            free += self.expect_unlimited_go_on()
        for link, fresh, _ in waiting:
            self.expect_accepted_again(fresh)
            counted.append(link)
        self.expect_health("ok")
        # Whoever was being served has waited, or goes on where the line broke.
        received += read_until_cut(transfer, LARGE - MIB)
        self.finish_large(large, url, received)
        counted += [large, *self.count(20)]
        self.expect_counted_once(counted)
        self.server.expect_link("free", used=free)
        for end in (self.server.stop, self.server.kill):
            end()
            self.start_again()
            self.expect_counted_once(counted)
            self.server.expect_link("free", used=free)


class DeadDisk(DiskTest):
    server_settings = {"send_timeout": "5s"}

    def test_fails_what_needs_a_count_and_has_every_count_when_it_is_mounted_again(self):  # J3
        self.serve()
        counted = self.count(100)
        large, url, transfer, received = self.begin_large()
        eventually(self.is_quiet)  # a sync while the disk dies may claim to have succeeded
        self.disk.die()
        self.expect_refused(self.fresh()[1])
        self.expect_unlimited_go_on()
        self.expect_failed("Input/output error")
        # What was leased before may still come, more cannot.
        received += read_until_cut(transfer, LARGE - MIB)
        self.assertLess(len(received), LARGE)
        self.server.kill()
        self.disk.unmount()
        self.disk.mount()
        self.start_again()
        self.expect_counted_once(counted)
        self.expect_copies_left(counted[0])
        self.finish_large(large, url, received)


class ReadOnlyDisk(DiskTest):
    def expect_no_start(self, server):
        said = self.expect_one_line(server, FAILED, "serve", "--config", server.config)
        self.assertIn("ledger.dir", said)
        self.assertIn("Read-only file system", said)

    def test_a_start_on_it_is_refused_and_leaves_the_counts_as_they_were(self):  # J8
        self.serve()
        counted = self.count(20)
        self.server.stop()
        files = {path: path.read_bytes() for path in self.disk.ledger.iterdir()}
        self.disk.remount_read_only()
        self.expect_no_start(self.server)
        self.disk.unmount()
        self.disk.mount()
        self.assertEqual({path: path.read_bytes() for path in files}, files)
        self.start_again()
        self.expect_counted_once(counted)

    def test_a_first_start_on_it_is_refused(self):
        self.disk.remount_read_only()
        self.expect_no_start(self.prepare_server(self.settings))


if __name__ == "__main__":
    unittest.main()
