"""The Debian package in a clean Debian: the README's page for operators walked through, command by command, and what
the unit does under systemd. Ends with 77 (ctest: skipped) where there can be no such machine."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from machine import NotHere, clean_debian, eventually, new_machine

PROJECT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TALLYGATE_BUILD") or PROJECT / "build/dev")
SKIPPED = 77
NEXT = "0.1.1-1"
CONFIG = "/etc/tallygate/tallygate.toml"
CONTENT = os.urandom(300_000)


def run(*command, **options):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, **options).stdout


def make_packages(folder):
    """The package that the build tree makes, and one that stands for the next version: its settings are others."""
    run("cpack", "-G", "DEB", "-B", folder, cwd=BUILD)
    [package] = folder.glob("*.deb")
    tree = folder / "tree"
    run("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN/control"
    version = re.search(r"^Version: (.*)$", control.read_text(), re.M)[1]
    control.write_text(control.read_text().replace(f"Version: {version}", f"Version: {NEXT}"))
    settings = tree / "etc/tallygate/tallygate.toml"
    settings.write_text(settings.read_text() + "\n# of the next version\n")
    newer = folder / f"tallygate_{NEXT}_{run('dpkg', '--print-architecture').strip()}.deb"
    run("dpkg-deb", "--root-owner-group", "-b", tree, newer)
    return package, newer


def commands_of_the_readme():
    """The lines of code in the part of the README that is for operators, without their comments."""
    text = (PROJECT / "README.md").read_text()
    [section] = re.findall(r"^## Running it\n(.*?)^## ", text, re.M | re.S)
    lines = re.findall(r"^    (.*)$", section.split("On the server", 1)[1], re.M)
    architecture = run("dpkg", "--print-architecture").strip()
    return [re.sub(r"\s+# .*$", "", line).replace("amd64", architecture) for line in lines]


def setUpModule():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tallygate-package-"))
    unittest.addModuleCleanup(shutil.rmtree, folder)
    try:
        if shutil.which("dpkg-shlibdeps") is None:
            raise NotHere("dpkg-dev is not here")
        clean_debian()
        package, newer = make_packages(folder)
        machine = new_machine(package)
    except NotHere as failure:
        print(f"SKIP: {failure}", flush=True)
        raise unittest.SkipTest(str(failure)) from None
    unittest.addModuleCleanup(machine.remove)
    for each in package, newer:
        machine.put(each, f"/root/{each.name}")
    PackageTest.machine, PackageTest.package, PackageTest.newer = machine, package, newer


class PackageTest(unittest.TestCase):
    maxDiff = None
    machine = package = newer = None  # one for all

    def sh(self, command, check=True):
        return self.machine.sh(command, check)[1]

    def setUp(self):
        if self.machine.sh("dpkg-query -W tallygate", check=False)[0] == 0:
            self.machine.apt("apt-get purge tallygate")
        self.sh("rm -rf /srv/downloads /root/downloaded; mkdir /srv/downloads")
        self.machine.path("/root/album.flac").write_bytes(CONTENT)

    def health(self):
        return json.loads(self.sh("curl -s --unix-socket /run/tallygate/admin.sock http://localhost/healthz"))

    def link(self, id):
        return json.loads(self.sh(f"tallygate links show --json --config {CONFIG} {id}"))

    def sign(self, id):
        return self.sh(f"tallygate sign --config {CONFIG} /album.flac --id {id} --max 3 --expires 7d").strip()

    def expect_running(self):
        self.assertEqual(self.sh("systemctl is-active tallygate").strip(), "active")

    def left_behind(self):
        """Files whose names have to do with tallygate, but for apt's own notes and what the test brought."""
        found = self.sh("find / -xdev \\( -path /proc -o -path /sys -o -path /root -o -path /var/lib/systemd "
                        "-o -path /var/log/journal -o -path /var/cache \\) -prune -o -iname '*tallygate*' -print")
        return sorted(line for line in found.splitlines() if not line.startswith("/usr/local/sbin/"))


class Readme(PackageTest):
    def test_the_page_for_operators_step_by_step(self):  # P14
        seen = set()
        for command in commands_of_the_readme():
            with self.subTest(command):
                is_apt = command.startswith("apt ")
                self.machine.apt(command) if is_apt else self.machine.sh(command)
                for pattern, look in self.expectations():
                    if re.match(pattern, command):
                        seen.add(pattern)
                        look(command)
        self.assertEqual(seen, {pattern for pattern, _ in self.expectations()})

    def expectations(self):
        return [
            (r"apt install \./tallygate_0\.1\.0-1_[a-z0-9]+\.deb", self.installed),
            (r"curl .*127\.0\.0\.1:8080", self.downloaded),
            (r"tallygate links show", self.shows(r"(?m)^used +1$")),
            (r"systemctl status", self.shows(r"serving on 0\.0\.0\.0:8080")),
            (r"journalctl", self.shows(r"/album\.flac\?tg=\*\*\*")),
            (r"curl .*admin\.sock", self.shows(r'"status":"ok"')),
            (r"tallygate check", self.shows("no mistakes")),
            (r"systemctl reload", self.reloaded),
            (r"apt install \./tallygate_0\.1\.1-1_[a-z0-9]+\.deb", self.upgraded),
            (r"apt remove", self.removed),
            (r"apt purge", self.purged),
        ]

    def shows(self, pattern):
        """Soon, for what another thread or systemd has yet to write."""
        def look(command):
            eventually(lambda: re.search(pattern, self.sh(command)), f"{command}: {pattern}")
        return look

    def reloaded(self, _):
        self.expect_running()
        eventually(lambda: "reloaded, generation 2" in self.machine.journal(), "the server says that it has")

    def installed(self, _):
        self.expect_running()
        listing = self.sh("stat -c '%A %U %G %n' /etc/tallygate/* /var/lib/tallygate /var/log/tallygate /srv/downloads")
        self.assertEqual(listing.splitlines(), [
            "-rw-r----- root tallygate /etc/tallygate/keyring.toml",
            "-rw-r--r-- root root /etc/tallygate/tallygate.toml",
            "drwxr-x--- tallygate tallygate /var/lib/tallygate",
            "drwxr-x--- tallygate tallygate /var/log/tallygate",
            "drwxr-xr-x root root /srv/downloads"])
        self.key = self.sh("cat /etc/tallygate/keyring.toml")
        self.assertEqual(self.sh("stat -c %U /var/lib/tallygate/ledger").strip(), "tallygate")

    def downloaded(self, _):
        self.assertEqual(self.machine.path("/root/copy.flac").read_bytes(), CONTENT)

    def upgraded(self, _):
        self.assertEqual(self.sh("dpkg-query -W -f '${Version}' tallygate"), NEXT)
        self.expect_running()
        settings = self.sh(f"cat {CONFIG}")
        self.assertIn('idle_timeout = "2m"', settings)  # as it was changed above
        self.assertNotIn("of the next version", settings)
        self.assertIn("of the next version", self.sh(f"cat {CONFIG}.dpkg-dist"))
        self.assertEqual(self.sh("cat /etc/tallygate/keyring.toml"), self.key)
        self.assertEqual(self.link("order-1")["used"], 1)

    def removed(self, _):
        self.assertEqual(self.sh("command -v tallygate || true"), "")
        self.assertIn('idle_timeout = "2m"', self.sh(f"cat {CONFIG}"))
        self.assertEqual(self.sh("cat /etc/tallygate/keyring.toml"), self.key)
        self.assertIn("journal-", self.sh("ls /var/lib/tallygate/ledger"))

    def purged(self, _):
        self.assertEqual(self.left_behind(), [])
        self.assertEqual(self.sh("ls /srv/downloads").strip(), "album.flac")
        self.assertIn("tallygate", self.sh("getent passwd tallygate"))  # its number goes to nobody else


class Package(PackageTest):
    def test_an_installation_upon_kept_files_changes_none_of_them(self):
        self.machine.apt(f"apt-get install ./{self.package.name}")
        self.sh(f"sed -i 's/^waste = .*/waste = 3.0/' {CONFIG}; tallygate keygen --id own >/etc/tallygate/keyring.toml")
        before = self.sh("cat /etc/tallygate/*")
        self.machine.apt("apt-get remove tallygate")
        self.machine.apt(f"apt-get install ./{self.package.name}")
        self.assertEqual(self.sh("cat /etc/tallygate/*"), before)
        self.expect_running()

    def test_manual_and_completion_are_where_they_are_looked_for(self):
        self.machine.apt(f"apt-get install ./{self.package.name}")
        files = self.sh("dpkg -L tallygate").splitlines()
        for file in ("/usr/share/man/man1/tallygate.1.gz", "/usr/share/man/man5/tallygate.toml.5.gz",
                     "/usr/share/bash-completion/completions/tallygate", "/usr/share/doc/tallygate/copyright",
                     "/usr/share/doc/tallygate/examples/sign/sign.php", "/lib/systemd/system/tallygate.socket"):
            self.assertIn(file, files)
        self.assertEqual(self.sh("dpkg -V tallygate").strip(), "")


class Unit(PackageTest):
    """The unit under systemd, sandbox and all."""

    def setUp(self):
        if not self.machine.is_booted:
            self.skipTest("no systemd here")
        super().setUp()
        self.machine.apt(f"apt-get install ./{self.package.name}")
        self.sh("cp /root/album.flac /srv/downloads/")

    def show(self, name):
        return self.sh(f"systemctl show tallygate -P {name}").strip()

    def break_settings(self):
        self.sh(f"sed -i 's/^waste = .*/waist = 1/' {CONFIG}")

    def test_wrong_settings_are_not_started_again_and_again(self):
        self.break_settings()
        self.assertNotEqual(self.machine.sh("systemctl restart tallygate", check=False)[0], 0)
        self.assertEqual([self.show("ActiveState"), self.show("ExecMainStatus"), self.show("NRestarts")],
                         ["failed", "78", "0"])
        eventually(lambda: "metering.waist: no such setting" in self.machine.journal(), "the journal says why")

    def test_a_reload_with_wrong_settings_fails_and_serves_on(self):
        self.break_settings()
        self.assertNotEqual(self.machine.sh("systemctl reload tallygate", check=False)[0], 0)
        self.expect_running()
        self.assertEqual(self.health()["status"], "ok")

    def test_an_upgrade_with_wrong_settings_leaves_the_old_one_serving(self):  # P4
        pid = self.show("MainPID")
        self.break_settings()
        said = self.machine.apt(f"apt-get install ./{self.newer.name}")[1]
        self.assertIn("the old one serves on", said)
        self.assertEqual(self.show("MainPID"), pid)
        self.expect_running()

    def test_an_upgrade_hands_over_to_a_new_process(self):  # P3
        pid, invocation = self.show("MainPID"), self.show("InvocationID")
        self.machine.apt(f"apt-get install ./{self.newer.name}")
        self.assertNotEqual(self.show("MainPID"), pid)
        self.assertEqual(self.show("InvocationID"), invocation, "no stop and start")
        self.sh(f"until ! [ -e /proc/{pid} ]; do sleep 0.1; done")
        self.expect_running()
        self.assertEqual(self.health()["status"], "ok")
        # What has taken over is watched as the one before was.
        self.sh("systemctl kill -s KILL --kill-who=main tallygate")
        self.sh("until [ $(systemctl show tallygate -P NRestarts) = 1 ] && systemctl -q is-active tallygate; do "
                "sleep 0.1; done")
        self.expect_running()

    def test_a_crash_is_followed_by_a_start(self):  # P12
        self.sh("systemctl kill -s KILL --kill-who=main tallygate")
        self.sh("until [ $(systemctl show tallygate -P NRestarts) = 1 ] && systemctl -q is-active tallygate; do "
                "sleep 0.1; done")
        self.assertEqual(self.health()["status"], "ok")

    def test_port_80_is_handed_over_and_who_comes_during_a_restart_waits(self):
        self.sh("systemctl stop tallygate && systemctl enable -q --now tallygate.socket && systemctl start tallygate")
        fetch = f"curl -sSo /root/downloaded 'http://127.0.0.1{self.sign('port-80')}'"
        self.sh(fetch)
        self.sh(f"systemctl stop -q tallygate; {fetch} & fetching=$!; systemctl start tallygate; wait $fetching")
        self.assertEqual(self.machine.path("/root/downloaded").read_bytes(), CONTENT)
        self.sh("systemctl stop -q tallygate; systemctl disable -q --now tallygate.socket")


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    sys.exit(not result.wasSuccessful() or (SKIPPED if result.testsRun == 0 else 0))
