"""What the tests of commands share: a command that must fail, and the admin interface by hand."""

import http.client
import json
import socket

from support import PATIENCE, Server, TestCase

FAILED, USAGE, SETTINGS = 1, 64, 78  # exit codes


class CommandTest(TestCase):
    def prepare_server(self, settings=None):
        """A server that is not started; its folder goes when the test ends."""
        server = Server(settings)
        self.addCleanup(server.remove)
        return server

    def expect(self, server, exit_code, *arguments):
        """Runs a command that must fail in this way; returns what it said, its only output."""
        done = server.command(*arguments, check=False)
        self.assertEqual(done.returncode, exit_code, (arguments, done.stderr))
        self.assertEqual(done.stdout, "", arguments)
        self.assertNotEqual(done.stderr.strip(), "", arguments)
        return done.stderr

    def expect_one_line(self, server, exit_code, *arguments):
        said = self.expect(server, exit_code, *arguments)
        self.assertEqual(said.count("\n"), 1, said)
        return said.removesuffix("\n")


class AdminConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("admin", timeout=PATIENCE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask_admin(server, method, target, body=None):
    """One request on the admin socket: the status, and the JSON of the answer."""
    connection = AdminConnection(server.folder / "admin.sock")
    try:
        connection.request(method, target, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def health(server):
    return ask_admin(server, "GET", "/healthz")[1]
