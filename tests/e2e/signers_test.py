"""Links signed by a shop's own code, in PHP, Python and JavaScript, as conf/sign and README show."""

import json
import pathlib
import re
import subprocess
import time

import support
from support import KIB, PATIENCE, Key, some_bytes

TREE = pathlib.Path(__file__).parents[2]
SIGNERS = {"php": ["php", "sign.php"], "python": ["python3", "sign.py"],
           "javascript": ["node", "sign.mjs"]}
BASE = "http://dl.shop.example"
PATHS = ["/a", "/music/Größe XL.flac", "/100% & more/a+b=c?#;,'()*!~$@:[]{}^`|\"<>.zip",
         "/日本語/🎵.flac", "/e\u0301/-._~"]


class Signers(support.TestCase):
    def setUp(self):
        self.key = Key("k1", bytes(range(32)))
        self.server = self.start_server(keys=[self.key])

    def sign(self, language, path):
        program, file = SIGNERS[language]
        done = subprocess.run(
            [program, TREE / "conf" / "sign" / file, BASE, self.key.secret.hex(), path],
            capture_output=True, text=True, timeout=PATIENCE, check=True)
        url = done.stdout.removesuffix("\n")
        self.assertTrue(url.startswith(BASE + "/"), url)
        return url

    def test_every_language_s_link_is_served_for_every_path(self):
        for path in PATHS:
            self.server.write(path, path.encode())
            for language in SIGNERS:
                with self.subTest(language=language, path=path):
                    url = self.sign(language, path)
                    response = self.server.get(url.removeprefix(BASE), method="HEAD")
                    self.assertEqual(response.status, 200, url)
                    self.assertEqual(response.length, len(path.encode()))

    def test_they_mean_3_downloads_in_7_days_together(self):
        content = self.server.write(PATHS[1], some_bytes(64 * KIB))
        for used, language in enumerate(SIGNERS, 1):
            url = self.sign(language, PATHS[1])
            said = json.loads(self.server.command("verify", "--config", self.server.config, url,
                                                  "--json").stdout)
            fields = {finding["field"]: finding["value"] for finding in said["findings"]}
            self.assertEqual((fields["i link id"], fields["n limit"]), ("1001-7", "3"))
            expires = int(re.match(r"\d+", fields["e expiry"])[0])
            self.assertLess(abs(expires - time.time() - 7 * 86400), PATIENCE)
            response = self.server.get(url.removeprefix(BASE))
            self.assertEqual((response.status, response.body), (200, content))
            self.server.expect_link("1001-7", used=used)
        for language in SIGNERS:
            response = self.server.get(self.sign(language, PATHS[1]).removeprefix(BASE))
            self.assertEqual(response.problem, "downloads-exhausted")

    def test_the_readme_shows_the_same_lines(self):
        readme = (TREE / "README.md").read_text()
        for language, (_, file) in SIGNERS.items():
            shown = re.search(rf"```{language}\n(.*?)```", readme, re.DOTALL)
            self.assertIsNotNone(shown, language)
            program = (TREE / "conf" / "sign" / file).read_text()
            for line in shown[1].splitlines()[1:]:  # the first one names the path
                self.assertIn(line, program.splitlines(), language)


if __name__ == "__main__":
    support.main()
