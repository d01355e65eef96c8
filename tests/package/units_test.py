"""The units, as far as systemd's tools judge them without a running systemd."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

UNITS = pathlib.Path(__file__).resolve().parents[2] / "systemd"
EXPOSURE_MAX = 15  # tenths


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not here")
class Units(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tallygate-units-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def test_systemd_understands_them(self):
        # What they start is the package's, which is not installed here.
        for name in "tallygate.service", "tallygate.socket":
            text = (UNITS / name).read_text().replace("/usr/bin/tallygate", "/bin/true")
            (self.folder / name).write_text(text)
        code, said = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                         self.folder / "tallygate.service", self.folder / "tallygate.socket")
        self.assertEqual((code, said), (0, ""))

    def test_the_sandbox_leaves_little_exposed(self):  # P14
        code, said = run("systemd-analyze", "security", "--no-pager", "--offline=true",
                         f"--threshold={EXPOSURE_MAX}", UNITS / "tallygate.service")
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"Overall exposure level for tallygate\.service: \d\.\d OK")

    def test_the_check_would_notice_a_unit_without_its_sandbox(self):
        text = re.sub(r"(?m)^(Protect|Private|SystemCall).*\n", "", (UNITS / "tallygate.service").read_text())
        (self.folder / "tallygate.service").write_text(text)
        code, _ = run("systemd-analyze", "security", "--no-pager", "--offline=true",
                      f"--threshold={EXPOSURE_MAX}", self.folder / "tallygate.service")
        self.assertNotEqual(code, 0)

    def test_what_breaks_openat2_is_left_out(self):
        text = (UNITS / "tallygate.service").read_text()
        for setting in "RestrictSUIDSGID", "DynamicUser":
            self.assertNotRegex(text, rf"(?m)^{setting}=")

    @unittest.skipUnless(shutil.which("systemd-sysusers"), "systemd-sysusers is not here")
    def test_account_and_folders_can_be_made(self):
        (self.folder / "etc").mkdir()
        code, said = run("systemd-sysusers", f"--root={self.folder}", UNITS / "tallygate.sysusers")
        self.assertEqual(code, 0, said)
        self.assertIn("\ntallygate:", "\n" + (self.folder / "etc/passwd").read_text())
        code, said = run("systemd-tmpfiles", f"--root={self.folder}", "--create", UNITS / "tallygate.tmpfiles")
        self.assertEqual(code, 0, said)
        self.assertTrue((self.folder / "var/lib/tallygate").is_dir())


if __name__ == "__main__":
    unittest.main()
