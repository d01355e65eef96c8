"""What the program is compiled and linked with, so that a fault in it is hard to use: read from the
program that the build has made, and from the commands that the release build would be made with."""

import json
import os
import pathlib
import platform
import re
import shlex
import subprocess
import tempfile
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TALLYGATE_BUILD") or PROJECT / "build/dev")
PROBE = """
#include <cstring>
#include <vector>
#ifdef NDEBUG
#error assertions are off
#endif
int probe(const std::vector<int>& v, const char* text, std::size_t i) {
  char copy[64];
  std::strcpy(copy, text);
  return v[i] + copy[i % sizeof copy];
}
"""


def readelf(*arguments):
    return subprocess.run(["readelf", "--wide", *map(str, arguments)], check=True,
                          capture_output=True, text=True).stdout


class Program(unittest.TestCase):
    def test_is_at_a_random_address_with_tables_that_cannot_be_written(self):
        program = BUILD / "server/tallygate"
        self.assertRegex(readelf("--file-header", program), r"Type: +DYN ")
        dynamic = readelf("--dynamic", program)
        self.assertRegex(dynamic, r"\(FLAGS_1\).*\bPIE\b")
        self.assertRegex(dynamic, r"\(FLAGS\).*\bBIND_NOW\b")
        self.assertNotIn("(TEXTREL)", dynamic)
        segments = readelf("--program-headers", program)
        self.assertRegex(segments, r"\n +GNU_RELRO ")
        stack = re.search(r"\n +GNU_STACK .*", segments)[0].split()
        self.assertIn("RW", stack)
        self.assertNotIn("RWE", segments)


class ReleaseBuild(unittest.TestCase):
    """As it would be configured; one small file is compiled in the way of one of its own."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="tallygate-release-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)

    def configure(self, name, *options):
        build = self.folder / name
        subprocess.run(["cmake", *options, "-S", PROJECT, "-B", build, "-DTALLYGATE_TESTS=OFF",
                        "-DTALLYGATE_BENCH=OFF"], check=True, capture_output=True, cwd=PROJECT)
        commands = json.loads((build / "compile_commands.json").read_text())
        return {pathlib.Path(entry["file"]).relative_to(PROJECT).as_posix(): entry["command"]
                for entry in commands if entry["file"].startswith(f"{PROJECT}/")}

    def compile(self, command):
        """The disassembly of the probe, compiled as that file of the tree would be."""
        source, made = self.folder / "probe.cc", self.folder / "probe.o"
        source.write_text(PROBE)
        words = shlex.split(command)
        words = words[next(i for i, word in enumerate(words) if re.search(r"(\+\+|clang)[^/]*$", word)):]
        taken = [words[0]]
        for word in words[1:]:
            if word.startswith(("-D", "-U", "-O", "-std", "-f")) and not word.startswith("-fpch"):
                taken.append(word)
        subprocess.run([*taken, "-c", source, "-o", made], check=True)
        return taken, readelf("--relocs", made), subprocess.run(
            ["objdump", "--disassemble", made], check=True, capture_output=True, text=True).stdout

    def expect_hardened(self, command):
        flags, relocations, code = self.compile(command)
        self.assertIn("__strcpy_chk", relocations, "_FORTIFY_SOURCE")
        self.assertIn("__stack_chk_fail", relocations, "-fstack-protector-strong")
        self.assertIn("__glibcxx_assert_fail", relocations, "_GLIBCXX_ASSERTIONS")
        self.assertIn("-D_FORTIFY_SOURCE=3", flags)
        self.assertIn("-fstack-clash-protection", flags)
        self.assertTrue({"-fPIE", "-fPIC"} & set(flags), flags)
        if platform.machine() == "x86_64":
            self.assertIn("endbr64", code, "-fcf-protection")

    def test_the_package_is_hardened(self):
        commands = self.configure("release", "--preset", "release")
        for file in "core/link/verify.cc", "server/net/worker.cc", "server/main.cc":
            self.expect_hardened(commands[file])
        for file, command in commands.items():
            self.assertIn("-fstack-protector-strong", command, file)
            self.assertNotIn("-DNDEBUG", command, file)

    def test_so_is_what_is_built_without_a_preset(self):
        self.expect_hardened(self.configure("plain")["server/main.cc"])


if __name__ == "__main__":
    unittest.main()
