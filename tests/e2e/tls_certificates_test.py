"""HTTPS: whose certificate is shown, what a reload changes, which sessions are resumed."""

import ssl
import unittest

from counting import SMALL_BUFFER
from support import MIB, TestCase, new_link_id, some_bytes
from tls_case import NAME, TLS_1_2, TLS_1_3, Certificate, TlsServer

SMALL = some_bytes(5000)


class CertificateTestCase(TestCase):
    server_class = TlsServer

    def serve(self, sites=(), **settings):
        """A server, and in its folder the certificates for these names, one site for each list."""
        self.server = TlsServer(settings)
        self.addCleanup(self._end, self.server)
        self.sites = [Certificate(self.server.folder, f"site-{i}", [f"DNS:{n}" for n in names])
                      for i, names in enumerate(sites)]
        if sites:
            self.server.configure({"tls": {"site": [site.setting() for site in self.sites]}})
        self.server.start()
        self.server.write("/small", SMALL)
        self.small = self.server.sign("/small")

    def shown(self, name, version=None):
        """The certificate that a client gets who asks for this name, and the file through it."""
        context = self.server.context(version, trust=False)
        with self.server.client(context, name=name) as client:
            self.assertEqual(client.ask(self.small).body, SMALL)
            return client.socket.getpeercert(binary_form=True)


class NamesTest(CertificateTestCase):
    def test_the_certificate_is_that_of_the_name(self):
        self.serve([["one.example", "www.one.example"], ["*.two.example"],
                    ["exact.two.example"]])
        one, wildcard, exact = (site.der for site in self.sites)
        default = self.server.certificate.der
        for name, wanted in (
                ("one.example", one), ("www.one.example", one), ("ONE.Example", one),
                ("a.two.example", wildcard), ("b.TWO.example", wildcard),
                ("exact.two.example", exact),
                ("two.example", default), ("a.b.two.example", default),
                ("other.one.example", default), ("example", default), (NAME, default),
                ("xn--nxasmq6b.example", default), ("a" * 63 + ".example", default)):
            for version in (TLS_1_2, TLS_1_3):
                with self.subTest(name=name, version=version.name):
                    self.assertEqual(self.shown(name, version), wanted)
        with self.subTest("no name"):
            self.assertEqual(self.shown(None), default)

    def test_a_client_that_trusts_only_its_site_is_content(self):
        self.serve([["one.example"]])
        context = ssl.create_default_context(cafile=self.sites[0].file)
        with self.server.client(context, name="one.example") as client:
            self.assertEqual(client.ask(self.small).body, SMALL)
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.server.client(context)

    def test_a_name_says_nothing_about_the_file(self):
        """Links are signed for paths: whichever site a client asks, they are the same."""
        self.serve([["one.example"]])
        link = new_link_id()
        url = self.server.sign("/small", id=link, limit=2)
        for name in ("one.example", NAME):
            with self.server.client(self.server.context(trust=False), name=name) as client:
                self.assertEqual(client.ask(url).status, 200)
        self.server.expect_link(link, used=2)

    def test_a_certificate_with_an_rsa_key_serves(self):
        class RsaServer(TlsServer):
            kind = "rsa"

        self.server = RsaServer()
        self.addCleanup(self._end, self.server)
        self.server.start()
        self.server.write("/small", SMALL)
        self.small = self.server.sign("/small")
        for version in (TLS_1_2, TLS_1_3):
            self.assertEqual(self.shown(NAME, version), self.server.certificate.der)

    def test_a_chain_is_sent_whole(self):
        """Issuers stand behind the certificate in its file: here two that are none, all the same."""
        self.serve()
        issuers = [Certificate(self.server.folder, f"issuer-{i}", ["DNS:ca"]) for i in range(2)]
        with open(self.server.certificate.file, "a") as file:
            file.write("".join(issuer.file.read_text() for issuer in issuers))
        self.assertIn("tallygate: reloaded", self.server.reload())
        context = self.server.context(TLS_1_2, trust=False)
        with self.server.client(context) as client:
            client.ask(self.small)
            sent = client.socket._sslobj.get_unverified_chain()  # public from Python 3.13 on
            self.assertEqual([ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in sent],
                             [self.leaf()] + [issuer.der for issuer in issuers])

    def leaf(self):
        pem = self.server.certificate.file.read_text()
        end = "-----END CERTIFICATE-----\n"
        return ssl.PEM_cert_to_DER_cert(pem.split(end)[0] + end)


class ReloadTest(CertificateTestCase):
    def test_new_connections_see_the_new_certificates(self):
        self.serve([["one.example"]])
        old = [self.server.certificate.der, self.sites[0].der]
        new = [self.server.certificate.make().der, self.sites[0].make().der]
        self.assertEqual([self.shown(NAME), self.shown("one.example")], old)
        self.assertIn("tallygate: reloaded, generation 2\n", self.server.reload())
        self.assertEqual([self.shown(NAME), self.shown("one.example")], new)

    def test_every_worker_has_the_new_ones(self):
        self.serve(server={"threads": 4})
        new = self.server.certificate.make().der
        self.server.reload()
        self.assertEqual({self.shown(NAME) for _ in range(40)}, {new})

    def test_a_transfer_that_runs_goes_on(self):
        size = 32 * MIB
        for version in (TLS_1_2, TLS_1_3):
            with self.subTest(version=version.name):
                self.serve()
                content = self.server.write("/large", some_bytes(size))
                link = new_link_id()
                url = self.server.sign("/large", id=link, limit=2)
                with self.server.client(self.server.context(version),
                                        receive_buffer=SMALL_BUFFER) as client:
                    client.request(url)
                    client.read_head()
                    received = [client.read(MIB)]
                    for _ in range(5):
                        self.server.certificate.make()
                        self.server.reload()
                        received.append(client.read(MIB))
                    received.append(client.read(size - 6 * MIB))
                    self.assertEqual(b"".join(received), content)
                    self.assertEqual(client.ask(self.small).body, SMALL)  # and so its connection
                self.server.expect_link(link, used=1, copies=1, traffic_bytes=size)
                self.assertEqual(self.shown(NAME), self.server.certificate.der)

    def test_a_broken_file_changes_nothing_and_is_named(self):  # P7
        self.serve([["one.example"]])
        certificate, site = self.server.certificate, self.sites[0]
        old = [certificate.der, site.der]
        other = Certificate(self.server.folder, "other", ["DNS:other.example"])
        good = {file: file.read_bytes() for file in (certificate.file, certificate.key,
                                                     site.file, site.key)}
        half = good[certificate.file][:300]
        for file, text, why in (
                (certificate.file, b"", "has no certificate in PEM"),
                (certificate.file, half, "has no certificate in PEM"),
                (certificate.file, None, "cannot be read: No such file or directory"),
                (certificate.key, b"nonsense", "has no private key in PEM"),
                (certificate.key, other.key.read_bytes(), "is not the key of the certificate in"),
                (site.key, good[certificate.key], "is not the key of the certificate in"),
                (site.file, good[site.file] + half, "its certificate 2 cannot be read")):
            with self.subTest(file=file.name, why=why):
                if text is None:
                    file.unlink()
                else:
                    file.write_bytes(text)
                said = self.server.reload()
                self.assertRegex(said, rf"(?m)^{file}: {why}")
                self.assertIn("tallygate: not reloaded: what was in force before still is\n", said)
                self.assertEqual([self.shown(NAME), self.shown("one.example")], old)
                file.write_bytes(good[file])
                if file in (certificate.key, site.key):
                    file.chmod(0o600)
        certificate.key.chmod(0o644)
        self.assertRegex(self.server.reload(), rf"(?m)^{certificate.key}: .*others")
        certificate.key.chmod(0o600)
        self.assertNotIn("not reloaded", self.server.reload())

    def test_a_reload_without_tls_does_no_harm(self):
        self.server = self.start_server({"tls": {}})
        self.server.write("/small", SMALL)
        self.server.stop()
        self.server.settings.pop("tls")
        self.server.configure({})
        super(TlsServer, self.server).start()
        self.server.reload()
        with self.server.plain_client() as client:
            self.assertEqual(client.ask(self.server.sign("/small")).body, SMALL)


class TicketTest(CertificateTestCase):
    def session(self, context, name=NAME):
        with self.server.client(context, name=name) as client:
            self.assertFalse(client.socket.session_reused)
            client.ask(self.small)
            session = client.socket.session
            self.assertTrue(session.has_ticket)
            return session

    def is_resumed(self, context, session, name=NAME):
        with self.server.client(context, name=name, session=session) as client:
            self.assertEqual(client.ask(self.small).body, SMALL)
            return client.socket.session_reused

    def test_a_session_is_resumed_by_whichever_worker(self):
        self.serve(server={"threads": 4})
        for version in (TLS_1_2, TLS_1_3):
            with self.subTest(version=version.name):
                context = self.server.context(version)
                session = self.session(context)
                self.assertEqual([self.is_resumed(context, session) for _ in range(16)],
                                 [True] * 16)

    def test_a_session_is_resumed_after_a_reload(self):
        self.serve([["one.example"]])
        for version in (TLS_1_2, TLS_1_3):
            for name in (NAME, "one.example"):
                with self.subTest(version=version.name, name=name):
                    context = self.server.context(version, trust=False)
                    session = self.session(context, name)
                    self.server.certificate.make()
                    self.sites[0].make()
                    self.assertIn("tallygate: reloaded", self.server.reload())
                    self.assertTrue(self.is_resumed(context, session, name))

    def test_a_ticket_of_the_server_before_a_restart_is_a_full_handshake(self):
        self.serve()
        context = self.server.context()
        session = self.session(context)
        self.server.restart()
        self.assertFalse(self.is_resumed(context, session))

    def test_a_resumed_session_is_counted_like_any_other(self):
        self.serve()
        size = 5 * MIB
        content = self.server.write("/large", some_bytes(size))
        for version in (TLS_1_2, TLS_1_3):
            with self.subTest(version=version.name):
                context = self.server.context(version)
                session = self.session(context)
                link = new_link_id()
                url = self.server.sign("/large", id=link, limit=1)
                with self.server.client(context, session=session) as client:
                    self.assertTrue(client.socket.session_reused)
                    self.assertEqual(client.ask(url).body, content)
                self.server.expect_link(link, used=1, copies=1, traffic_bytes=size)


if __name__ == "__main__":
    unittest.main()
