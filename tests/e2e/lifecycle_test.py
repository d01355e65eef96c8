"""How the server starts, says how it is, and ends; what it does when it cannot have what it needs."""

import socket
import stat

import support
from command_case import FAILED, CommandTest, ask_admin
from support import KIB, MIB, eventually, some_bytes


class Serve(CommandTest):
    def test_sigterm_lets_a_download_finish_and_exits_0(self):  # P1
        server = self.start_server()
        content = server.write("/a", some_bytes(16 * MIB))
        with server.client(receive_buffer=64 * KIB) as client:
            client.request(server.sign("/a", id="x", limit=1))
            head = client.read_head()
            server.terminate()
            self.assertEqual(client.read(head.length), content)
        server.wait()
        self.assertFalse((server.folder / "admin.sock").exists())
        server.start()
        server.expect_link("x", used=1)

    def test_a_second_sigterm_does_not_wait_for_anybody(self):  # P1
        server = self.start_server({"server": {"drain_timeout": "1h"}})
        server.write("/a", bytes(16 * MIB))
        with server.client(receive_buffer=4 * KIB) as client:
            client.request(server.sign("/a", id="x", limit=1))
            client.read_head()
            server.terminate()
            eventually(lambda: "draining" in server.stderr())
            server.terminate()
            server.wait()

    def test_a_ledger_belongs_to_one_server(self):  # J10
        first = self.start_server()
        second = self.prepare_server({"ledger": {"dir": str(first.folder / "ledger")}})
        said = self.expect_one_line(second, FAILED, "serve", "--config", second.config)
        self.assertRegex(said, "ledger.dir .* in use by another tallygate")
        self.assertFalse((second.folder / "admin.sock").exists())
        self.assertIsNone(first.links_show("x"))  # and goes on answering

    def test_a_ledger_that_cannot_be_made_is_one_line(self):
        server = self.prepare_server()
        (server.folder / "ledger").write_text("precious")
        said = self.expect_one_line(server, FAILED, "serve", "--config", server.config)
        self.assertRegex(said, f"ledger.dir .*{server.folder}/ledger.*Not a directory")
        self.assertEqual((server.folder / "ledger").read_text(), "precious")

    def test_a_port_in_use_is_one_line_and_leaves_nothing_behind(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            server = self.prepare_server({"server": {"listen": [address]}})
            said = self.expect_one_line(server, FAILED, "serve", "--config", server.config)
        self.assertIn(f"server.listen: cannot listen on {address}", said)
        self.assertEqual(sorted(p.name for p in server.folder.iterdir()),
                         ["files", "keyring.toml", "tallygate.toml"])

    def test_a_port_of_another_tallygate_is_in_use_too(self):
        first = self.start_server()
        second = self.prepare_server({"server": {"listen": [f"127.0.0.1:{first.port}"]}})
        said = self.expect_one_line(second, FAILED, "serve", "--config", second.config)
        self.assertIn("server.listen", said)

    def test_an_admin_socket_of_a_running_server_is_not_taken_from_it(self):
        first = self.start_server()
        path = str(first.folder / "admin.sock")
        second = self.prepare_server({"admin": {"socket": path}})
        self.assertIn(path, self.expect_one_line(second, FAILED, "serve", "--config", second.config))
        self.assertIsNone(first.links_show("x"))

    def test_an_admin_socket_left_from_a_crash_is_replaced(self):
        server = self.start_server()
        server.kill()
        path = server.folder / "admin.sock"
        self.assertTrue(path.is_socket())
        server.start()
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o660)
        self.assertIsNone(server.links_show("x"))

    def test_a_file_that_is_no_socket_is_not_removed(self):
        server = self.prepare_server()
        path = server.folder / "admin.sock"
        path.write_text("precious")
        self.assertIn(str(path),
                      self.expect_one_line(server, FAILED, "serve", "--config", server.config))
        self.assertEqual(path.read_text(), "precious")

    def test_health_is_told_on_the_admin_socket(self):
        server = self.start_server()
        server.write("/a", some_bytes(4 * KIB))
        self.assertEqual(server.get(server.sign("/a", id="x", limit=1)).status, 200)
        status, health = ask_admin(server, "GET", "/healthz")
        self.assertEqual((status, health["status"]), (200, "ok"))
        self.assertEqual(health["ledger"], {"links": 1})
        self.assertEqual(health["version"], server.command("--version").stdout.strip())
        self.assertEqual(health["clock"], {"steps": 0})
        self.assertNotIn("shop", health)
        self.assertGreaterEqual(health["loop_stall"]["longest_ms"], 0)  # rounded
        eventually(lambda: any(ask_admin(server, "GET", "/healthz")[1]["loop_stall"]
                               ["up_to_ms"].values()))  # with its first tick
        self.assertEqual(ask_admin(server, "GET", "/nowhere")[0], 404)
        self.assertEqual(ask_admin(server, "DELETE", "/v1/links/x")[0], 405)
        self.assertEqual(ask_admin(server, "POST", "/v1/links/x", "{")[0], 400)
        self.assertEqual(ask_admin(server, "POST", "/v1/links/x", '{"action":"eat"}')[0], 400)

if __name__ == "__main__":
    support.main()
