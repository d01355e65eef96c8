"""That the measuring works: every row, against the limit and tallygate, a few requests each.

Nothing here looks at time. Rows with TLS are run with nginx too, where it is installed.
"""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

import run
import servers
from rows import BY_NAME, COUNTED, ROWS, UNLIMITED

PROGRAMS = pathlib.Path(os.environ.get("PROGRAMS") or run.PROJECT / "build/dev").resolve()
REQUESTS = 40
OURS = ["limit", UNLIMITED, COUNTED]


def measured(folder, *words):
    """Runs run.py in this process; returns its outcome and its table."""
    options = run.parse(["--programs", str(PROGRAMS), "--dir", folder, "--host-network",
                         "--rounds", "1", "--seconds", "60", "--requests", str(REQUESTS),
                         "--large-mib", "4", "--cold-mib", "1", "--clients", "50", *words])
    return run.run(options)


class LoadTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tallygate-load-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_every_plain_row_is_served_by_the_limit_and_by_tallygate(self):
        plain = [row for row in ROWS if not row.tls]
        outcome, table = measured(
            self.folder, "--rows", ",".join(row.name for row in plain),
            "--servers", ",".join(OURS))
        for row in plain:
            for name in (name for name in row.contenders if name in OURS):
                with self.subTest(row=row.name, server=name):
                    if row.kind == "cold" and (row.name, name) in outcome.skipped:
                        continue  # no control group, or a file system in memory
                    self.assertNotIn((row.name, name), outcome.skipped)
                    (figures,) = outcome.results[row.name][name]
                    wanted = 50 if row.kind == "slow" else REQUESTS
                    self.assertGreaterEqual(figures["requests"], wanted)
                    for figure in row.figures:
                        self.assertIsNotNone(figures[figure], figure)
        self.assertEqual(outcome.void, [])
        self.assertIn("| tallygate counted |", table)
        self.assertEqual(os.listdir(self.folder), [])  # nothing is left behind

    def test_tls_rows_are_served_or_left_out_with_a_reason(self):
        try:
            outcome, table = measured(
                self.folder, "--rows", "tls-large,tls-keep-alive,tls-full,tls-resumed,tls-slow",
                "--servers", "tallygate,nginx")
        except FileNotFoundError as missing:
            self.skipTest(missing)
        self.assertEqual(outcome.void, [])
        for row, of_row in outcome.results.items():
            for name in (UNLIMITED, "nginx"):
                with self.subTest(row=row, server=name):
                    if reason := outcome.skipped.get((row, name)):
                        self.assertIn(f"- {name} left out: {reason}", table)
                        # tallygate may not know of TLS, nginx may not be there; nothing else.
                        self.assertRegex(reason, "did not start|not installed")
                        continue
                    (figures,) = of_row[name]
                    self.assertGreaterEqual(figures["requests"], REQUESTS)
                    if row == "tls-resumed":
                        self.assertEqual(figures["resumed"], 100)

    def test_the_outcome_is_written_as_json_markdown_and_svg(self):
        outcome = pathlib.Path(self.folder)
        files = {kind: outcome / f"outcome.{kind}" for kind in ("json", "markdown", "svg")}
        _, table = measured(
            self.folder, "--rows", "unique", "--servers", ",".join(OURS),
            *(word for kind, file in files.items() for word in (f"--{kind}", str(file))))
        self.assertEqual(files["markdown"].read_text(), table)
        self.assertRegex(
            table, r"tallygate: requests/s \d+\.\d\d × limit .*; target ≥ 0\.7: (met|\*\*missed)")
        of_row = json.loads(files["json"].read_text())["results"]["unique"]
        self.assertEqual(set(of_row), set(OURS))
        self.assertEqual(of_row[COUNTED][0]["requests"], REQUESTS)  # each link once
        chart = xml.etree.ElementTree.fromstring(files["svg"].read_text())
        self.assertIn(BY_NAME["unique"].title, "".join(chart.itertext()))

    def test_a_wrong_answer_fails_the_client(self):
        options = run.parse(["--programs", str(PROGRAMS)])
        settings = run.Settings(options, pathlib.Path(self.folder))
        settings.files.mkdir()
        (settings.files / "sample.pdf").write_bytes(b"x" * 4096)
        with servers.Limit(settings) as server:
            for size, code in (4096, 0), (4097, 1):
                done = subprocess.run(
                    [PROGRAMS / "bench/bench.load.client", "--port", str(server.port), "--path",
                     "/sample.pdf", "--bytes", str(size), "--requests", "3", "--seconds", "60"],
                    input="go\n", capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertEqual("a wrong answer" in done.stderr, code == 1)


if __name__ == "__main__":
    unittest.main()
