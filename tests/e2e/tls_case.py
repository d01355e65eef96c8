"""What the tests of TLS share: certificates, a server with a listener for HTTPS, its clients."""

import pathlib
import re
import socket
import ssl
import subprocess

from support import Client, Server, eventually

NAME = "dl.shop.example"
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True)


class Certificate:
    """A certificate that signs itself, made here and now, and its key: PEM files in `folder`."""

    KEYS = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "rsa": ["-newkey", "rsa:2048"]}

    def __init__(self, folder, stem, names, kind="ec"):
        self.file = pathlib.Path(folder) / f"{stem}.pem"
        self.key = pathlib.Path(folder) / f"{stem}.key"
        self.names, self.kind = names, kind
        self.make()

    def make(self):
        """A new pair, put in the place of the old one by rename."""
        drafts = self.file.with_suffix(".pem.draft"), self.key.with_suffix(".key.draft")
        openssl("req", "-x509", *self.KEYS[self.kind], "-nodes", "-days", "300", "-sha256",
                "-subj", "/CN=tallygate test", "-out", drafts[0], "-keyout", drafts[1],
                "-addext", "subjectAltName=" + ",".join(self.names))
        drafts[1].chmod(0o600)
        drafts[0].rename(self.file)
        drafts[1].rename(self.key)
        return self

    @property
    def der(self):
        return ssl.PEM_cert_to_DER_cert(self.file.read_text())

    def setting(self):
        return {"certificate": str(self.file), "key": str(self.key)}


class TlsServer(Server):
    """Its clients speak TLS; `plain_client` does not."""

    names = [f"DNS:{NAME}", "DNS:localhost", "IP:127.0.0.1"]
    kind = "ec"

    def __init__(self, settings=None, keys=None):
        super().__init__(settings, keys)
        self.certificate = Certificate(self.folder, "certificate", self.names, self.kind)
        self.tls_port = None
        self.configure({"tls": {"listen": ["127.0.0.1:0"], **self.certificate.setting(),
                                **(settings or {}).get("tls", {})}})

    def start(self):
        begin = self.stderr_file.stat().st_size if self.stderr_file.exists() else 0
        super().start()
        ready = re.compile(r"^tallygate: serving on https://127\.0\.0\.1:(\d+)$", re.MULTILINE)
        eventually(lambda: ready.search(self.stderr()[begin:]) is not None)
        self.tls_port = int(ready.search(self.stderr()[begin:])[1])
        return self

    def context(self, version=None, trust=True):
        """A client's: of one version or of any; trusts the server's certificate, or whatever."""
        context = ssl.create_default_context(cafile=self.certificate.file if trust else None)
        if not trust:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def client(self, context=None, name=NAME, session=None, **options):
        context = context or self.context()
        return TlsClient(self.tls_port, context, name=name, session=session, **options)

    def plain_client(self, **options):
        return Client(self.port, **options)


class TlsClient(Client):
    """`ended_cleanly` says after the end whether the server has announced it (close_notify)."""

    def __init__(self, port, context, name=NAME, session=None, **options):
        super().__init__(port, **options)
        self.ended_cleanly = None
        self.socket = context.wrap_socket(self.socket, server_hostname=name, session=session,
                                          suppress_ragged_eofs=False)

    def _more(self):
        try:
            n = super()._more()
        except ssl.SSLEOFError:
            self.ended_cleanly = False
            return 0
        if n == 0:
            self.ended_cleanly = True
        return n

    def half_close(self):
        socket.socket.shutdown(self.socket, socket.SHUT_WR)  # TCP's; that of TLS goes on
