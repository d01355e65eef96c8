"""testssl.sh (https://testssl.sh) looks at the listener for HTTPS and finds nothing to complain of."""

import json
import os
import shutil
import subprocess
import unittest

from support import TestCase, some_bytes
from tls_case import TlsServer

PROGRAM = shutil.which("testssl") or shutil.which("testssl.sh")
PATIENCE = 500  # a minute on a quiet machine
# Nothing is looked up: not the name, no CAA record, no revocation list.
OPTIONS = ["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1"]

# What is worse than OK and INFO and yet no fault of the server.
TOLERATED = {
    "engine_problem",  # the client's OpenSSL has no engine for GOST's ciphers
    "cert_revocation",  # the test's certificate is its own authority, and revokes nothing
    # The client gives up at once when its input ends, and then may not have seen the ticket of
    # TLS 1.3, which comes behind the handshake. Resumption: tls_certificates_test.py.
    "sessionresumption_ticket",
    # "Not offered": a policy of the whole domain, which the shop's pages declare. The same files
    # are served without TLS where the settings say so.
    "HSTS",
}
# Without these it has not looked.
LOOKED_AT = {
    "SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3", "cipherlist_NULL", "cipherlist_aNULL",
    "cipherlist_EXPORT", "cipherlist_LOW", "cipherlist_3DES_IDEA", "heartbleed", "CCS",
    "ticketbleed", "ROBOT", "secure_renego", "secure_client_renego", "CRIME_TLS", "BREACH",
    "POODLE_SSL", "fallback_SCSV", "SWEET32", "FREAK", "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4",
}


class RsaServer(TlsServer):
    kind = "rsa"


@unittest.skipUnless(PROGRAM, "testssl.sh is not installed")
class TestsslTest(TestCase):
    def look(self, server_class, *sections):
        self.server_class = server_class
        server = self.start_server()
        server.write("/file", some_bytes(1000))
        found = server.folder / "findings.json"
        done = subprocess.run(
            [PROGRAM, *OPTIONS, "--add-ca", str(server.certificate.file), "--jsonfile", str(found),
             *sections, f"localhost:{server.tls_port}{server.sign('/file')}"],
            cwd=server.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=PATIENCE, env={**os.environ, "TERM": "dumb"})
        self.assertTrue(found.exists(), done.stdout + done.stderr)
        findings = {each["id"]: each for each in json.loads(found.read_text())}
        self.assertEqual(LOOKED_AT - set(findings), set())
        wrong = {name: (each["severity"], each["finding"]) for name, each in findings.items()
                 if each["severity"] not in ("OK", "INFO") and name not in TOLERATED}
        self.assertEqual(wrong, {})
        for old in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
            self.assertEqual(findings[old]["finding"], "not offered")
        # The server goes on, and has not noticed.
        self.assertEqual(server.get(server.sign("/file")).status, 200)
        return findings

    def test_everything_with_an_elliptic_key(self):
        findings = self.look(TlsServer)
        self.assertEqual(findings["cert_chain_of_trust"]["finding"], "passed.")
        self.assertIn("OK", findings["cert_trust"]["severity"])
        self.assertEqual(findings["ALPN"]["finding"], "http/1.1")
        self.assertEqual(findings["HTTP_status_code"]["finding"][:6], "200 OK")

    def test_protocols_ciphers_and_vulnerabilities_with_an_rsa_key(self):
        self.look(RsaServer, "--protocols", "--std", "--vulnerable")


if __name__ == "__main__":
    unittest.main()
