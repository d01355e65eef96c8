"""What the tests of commands share: a command that must fail, and the admin interface by hand."""

from support import Server, TestCase

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


def ask_admin(server, method, target, body=None):
    return server.ask_admin(method, target, body)


def health(server):
    return ask_admin(server, "GET", "/healthz")[1]
