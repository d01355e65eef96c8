"""TLS on the line to a database: what shop.url asks for holds, or there is no connection."""

import json
import shutil
import tempfile

import support
from command_case import CommandTest
from database_case import EDGE, OnMaria, OnPostgres
from tls_case import Certificate


class Line:
    """Goes before OnPostgres or OnMaria: nobody gets in by TCP without TLS."""

    certificate_names = ["IP:127.0.0.1"]

    @classmethod
    def start_database_server(cls, **options):
        folder = tempfile.mkdtemp(prefix="tallygate-tls-")
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.certificate = Certificate(folder, "server", cls.certificate_names)
        cls.stranger = Certificate(folder, "stranger", cls.certificate_names)
        tls = cls.certificate.file, cls.certificate.key
        return super().start_database_server(tls=tls, require_tls=True, **options)

    def setUp(self):
        super().setUp()
        self.server = self.prepare_server()
        self.server.database = self.make_database(self.server)
        self.server.configure({"shop": self.server.database.settings})
        self.server.database.prepare(self.server)

    def expect(self, is_reachable, **options):
        """With these options of the URL."""
        url = self.database_server.url(EDGE, self.server.database.name, tcp=True)
        settings = self.server.database.settings_of(EDGE)
        query = "&".join(f"{name.replace('_', '-') if self.kind == 'mariadb' else name}={value}"
                         for name, value in options.items())
        self.server.configure({"shop": {**settings, "url": f"{url}?{query}"}})
        done = self.server.command("shop", "status", "--config", self.server.config, "--json",
                                   check=False)
        said = json.loads(done.stdout)
        self.assertEqual(said["reachable"], is_reachable, (options, said))
        return said.get("error", "")


class Postgres(Line, OnPostgres, CommandTest):
    def test_each_mode_does_what_its_name_says(self):
        right, wrong = self.certificate.file, self.stranger.file
        self.expect(False, sslmode="disable")
        self.expect(True, sslmode="prefer")
        self.expect(True, sslmode="require")
        self.expect(True, sslmode="verify-full", sslrootcert=right)
        self.assertIn("certificate verify failed",
                      self.expect(False, sslmode="verify-full", sslrootcert=wrong))


class PostgresOfAnotherName(Line, OnPostgres, CommandTest):
    certificate_names = ["DNS:db.other.example"]

    def test_its_name_is_looked_at_when_asked_for(self):
        right = self.certificate.file
        self.expect(True, sslmode="verify-ca", sslrootcert=right)
        self.assertIn("does not match", self.expect(False, sslmode="verify-full", sslrootcert=right))


class Maria(Line, OnMaria, CommandTest):
    def test_each_mode_does_what_its_name_says(self):
        right, wrong = self.certificate.file, self.stranger.file
        self.expect(False, ssl_mode="disabled")
        self.expect(True, ssl_mode="preferred")
        self.expect(True, ssl_mode="required")
        self.expect(True, ssl_mode="verify-identity", ssl_ca=right)
        self.expect(False, ssl_mode="verify-identity", ssl_ca=wrong)


class MariaOfAnotherName(Line, OnMaria, CommandTest):
    certificate_names = ["DNS:db.other.example"]

    def test_its_name_is_looked_at_when_asked_for(self):
        right = self.certificate.file
        self.expect(True, ssl_mode="verify-ca", ssl_ca=right)
        self.expect(False, ssl_mode="verify-identity", ssl_ca=right)


if __name__ == "__main__":
    support.main()
