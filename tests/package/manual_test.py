"""The manual and the completion: well formed, and complete, measured by what the commands themselves say."""

import os
import pathlib
import re
import shutil
import subprocess
import tomllib
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TALLYGATE_BUILD") or PROJECT / "build/dev")
MADE = BUILD / "package"
PAGES = ["tallygate.1", "tallygate.toml.5"]


def run(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          **options)


def plain(page):
    """The page as it is read, without bold and underlined letters."""
    text = run("man", "-E", "UTF-8", "-P", "cat", "-l", MADE / page, env={**os.environ, "MANWIDTH": "400"}).stdout
    return re.sub(r".\x08", "", text).replace("‐", "-")


def commands():
    """Every command that the program knows, by its words: the options and what else its help names."""
    found = {}

    def look(words):
        said = run(BUILD / "server/tallygate", *words, "--help").stdout
        found[words] = set(re.findall(r"^ {2,}(?:-\w,)?(--[a-z][a-z-]*)", said, re.M))
        below = said.split("\nSubcommands:\n")
        if len(below) > 1:
            for name in re.findall(r"^  (\w+) ", below[1], re.M):
                look(words + (name,))

    look(())
    return found


class Manual(unittest.TestCase):
    @unittest.skipUnless(shutil.which("man"), "man is not here")
    def test_man_has_nothing_to_complain_about(self):
        for page in PAGES:
            done = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", MADE / page)
            self.assertEqual((done.returncode, done.stderr), (0, ""), page)

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not here")
    def test_mandoc_has_nothing_to_complain_about(self):
        for page in PAGES:
            done = run("mandoc", "-T", "lint", "-W", "warning", MADE / page)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), page)

    @unittest.skipUnless(shutil.which("man"), "man is not here")
    def test_every_command_and_option_is_in_it(self):
        text = plain("tallygate.1")
        known = commands()
        self.assertIn(("ledger", "check"), known)
        for words, options in known.items():
            self.assertIn(" ".join(("tallygate", *words)), text)
            for option in options:
                self.assertIn(option, text, words)

    @unittest.skipUnless(shutil.which("man"), "man is not here")
    def test_every_setting_is_in_it_with_its_default(self):
        text = plain("tallygate.toml.5")
        example = (PROJECT / "conf/tallygate.toml").read_text()
        settings = re.findall(r"^#{0,2}([a-z_]+ = .*)$", example, re.M)
        self.assertGreater(len(settings), 30)
        for setting in settings:
            self.assertRegex(text, rf"(?m)^ +{setting.split(' =')[0]} = ")
        for table in re.findall(r"^#?\[([a-z]+)\]$", example, re.M):
            self.assertIn(f"[{table}]", text)

    def test_the_settings_of_the_package_are_the_example_with_what_it_makes_filled_in(self):
        packaged = (MADE / "tallygate.toml").read_text()
        settings = tomllib.loads(packaged)
        self.assertEqual(settings["content"]["root"], "/srv/downloads")
        self.assertEqual(settings["links"]["keyring"], "/etc/tallygate/keyring.toml")
        example = (PROJECT / "conf/tallygate.toml").read_text()
        self.assertEqual(packaged.replace("\nroot = ", "\n#root = ").replace("\nkeyring = ", "\n#keyring = "), example)


class Completion(unittest.TestCase):
    def complete(self, *words):
        """What bash offers for the last of the words."""
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tallygate; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = run("bash", "-uc", script, "bash", MADE / "tallygate.bash", "tallygate", *words, cwd=PROJECT / "conf")
        self.assertEqual(done.returncode, 0, done.stderr)
        return set(done.stdout.split())

    def test_every_command_and_option_is_offered(self):
        for words, options in commands().items():
            offered = self.complete(*words, "")
            self.assertLessEqual(options, offered, words)
            for other in commands_below(words):
                self.assertIn(other, offered)

    def test_nothing_else_is_offered_as_an_option(self):
        for words, options in commands().items():
            extra = {each for each in self.complete(*words, "--") if each.startswith("--")} - options
            self.assertEqual(extra, set(), words)

    def test_what_was_begun_is_completed(self):
        self.assertEqual(self.complete("ver"), {"verify"})
        self.assertEqual(self.complete("links", "rev"), {"revoke"})
        self.assertEqual(self.complete("sign", "--config", "a.toml", "--fold"), {"--folder"})

    def test_files_of_settings(self):
        self.assertIn("tallygate.toml", self.complete("check", "--config", ""))
        self.assertNotIn("packages.sh", self.complete("check", "--config", ""))
        self.assertIn("sign", self.complete("ledger", "check", "--dir", ""))
        self.assertEqual(self.complete("sign", "--max", ""), set())


def commands_below(words):
    return [each[-1] for each in commands() if each[:-1] == words and each]


if __name__ == "__main__":
    unittest.main()
