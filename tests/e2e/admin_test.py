"""The admin interface: what it answers, compared with conf/openapi.json, and whom it answers."""

import http.client
import json
import re
import socket
import time
import unittest

import jsonschema
from support import MIB, PATIENCE, PROJECT, AdminConnection, Server, TestCase, eventually
from support import main, new_link_id, some_bytes

TOKEN = "a-token-only-for-these-tests"
DOCUMENT = json.loads((PROJECT / "conf/openapi.json").read_text())


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.fields = response.getheaders()
        self.body = response.read()

    def field(self, name):
        return next((value for n, value in self.fields if n.lower() == name.lower()), None)

    @property
    def json(self):
        return json.loads(self.body)


def described(path):
    """The entry of the document that a path is of."""
    for pattern, item in DOCUMENT["paths"].items():
        if re.fullmatch(re.escape(pattern).replace(r"\{id\}", "[^/]+"), path):
            return item
    raise AssertionError(f"{path} is not described")


def expect_described(method, target, answer):
    """An answer that the document does not describe is wrong."""
    operation = described(target.partition("?")[0])[method.lower()]
    response = operation["responses"].get(str(answer.status))
    if response is None:
        raise AssertionError(f"{method} {target}: {answer.status} is not described: {answer.body}")
    content = response.get("content")
    if content is None:
        return
    media_type = answer.field("Content-Type").partition(";")[0]
    schema = content[media_type]["schema"]
    if media_type == "application/json":
        whole = {**schema, "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(whole).validate(answer.json)


class AdminServer(Server):
    """A server whose admin interface is on a loopback port as well."""

    def __init__(self, settings=None, keys=None):
        super().__init__(settings, keys)
        self.token_file = self.folder / "admin.token"
        self.write_token(TOKEN)
        self.configure({"admin": {"listen": "127.0.0.1:0", "token_file": str(self.token_file)}})

    def write_token(self, token):
        self.token_file.write_text(token + "\n")
        self.token_file.chmod(0o600)

    @property
    def admin_port(self):
        said = re.findall(r"admin interface on http://127\.0\.0\.1:(\d+)/", self.stderr())
        return int(said[-1])

    def ask_port(self, method, target, body=None, fields=None, token=TOKEN):
        """One request on the port, as the document describes it or not at all."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=PATIENCE)
        fields = dict(fields or {})
        if token is not None:
            fields["Authorization"] = f"Bearer {token}"
        if isinstance(body, dict):
            body = json.dumps(body)
        try:
            connection.request(method, target, body, fields)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def ask_socket(self, method, target, body=None):
        connection = AdminConnection(self.folder / "admin.sock")
        try:
            connection.request(method, target, None if body is None else json.dumps(body))
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        expect_described(method, target, answer)
        return answer


class AdminTestCase(TestCase):
    server_class = AdminServer

    def start_server(self, settings=None, keys=None):
        self.server = super().start_server(settings, keys)
        return self.server

    def ask(self, method, target, body=None):
        """The same on the socket and, if it changes nothing, on the port."""
        answer = self.server.ask_socket(method, target, body)
        if method == "GET":
            again = self.server.ask_port(method, target)
            expect_described(method, target, again)
            self.assertEqual(again.status, answer.status)
        return answer

    def start_slow_download(self, link_id, size=8 * MIB):
        """A transfer that stays in flight as long as its client is open."""
        self.server.write("/slow.bin", some_bytes(size))
        client = self.server.client(receive_buffer=4096)
        self.addCleanup(client.close)
        client.request(self.server.sign("/slow.bin", id=link_id, limit=3))
        eventually(lambda: self.server.ask_socket("GET", "/v1/live").json["transfers"], 1)
        return client


class What(AdminTestCase):
    """Each resource, and the document that describes it."""

    def test_health_readiness_and_figures_are_as_described(self):
        self.start_server()
        self.assertEqual(self.ask("GET", "/healthz").json["status"], "ok")
        self.assertEqual(self.ask("GET", "/readyz").json, {"ready": True})
        self.assertEqual(self.ask("GET", "/v1/live").json["transfers"], 0)
        self.assertIn(b"tallygate_build_info", self.ask("GET", "/metrics").body)

    def test_with_a_shop_they_are_as_described_too(self):
        self.start_server()
        self.server.stop()
        self.server.configure({"shop": {"url": f"sqlite:{self.server.folder / 'shop.db'}"}})
        self.server.start()
        eventually(lambda: self.ask("GET", "/healthz").json["shop"]["reachable"], True)
        self.assertEqual(self.ask("GET", "/v1/live").json["shop"]["lag_seconds"], 0)

    def test_the_way_of_a_link(self):
        server = self.start_server()
        server.write("/song.flac", some_bytes(1000))
        link = new_link_id()
        self.assertEqual(self.ask("GET", f"/v1/links/{link}").status, 404)
        self.assertEqual(server.get(server.sign("/song.flac", id=link, limit=3)).status, 200)
        server.expect_link(link, used=1)
        shown = self.ask("GET", f"/v1/links/{link}").json
        self.assertEqual((shown["path"], shown["limit"], shown["state"]), ("/song.flac", 3, "active"))
        changed = lambda body: self.ask("POST", f"/v1/links/{link}", body).json
        self.assertEqual(changed({"action": "revoke"})["state"], "revoked")
        self.assertEqual(server.get(server.sign("/song.flac", id=link, limit=3)).problem, "link-revoked")
        self.assertEqual(changed({"action": "restore"})["state"], "active")
        self.assertEqual(changed({"action": "set", "max": 9})["limit"], 9)
        self.assertEqual(changed({"action": "set", "expires": 4_000_000_000})["expires_at"], 4_000_000_000)
        self.assertEqual(changed({"action": "reset"})["used"], 0)

    def test_a_wrong_change_is_named(self):
        self.start_server()
        for body, why in [({}, "action"), ({"action": "delete"}, "action"), ([], "object"),
                          ({"action": "set"}, "needs"), ({"action": "set", "max": -2}, "max"),
                          ({"action": "set", "max": 1 << 31}, "max"),
                          ({"action": "set", "expires": "soon"}, "expires")]:
            answer = self.ask("POST", "/v1/links/a", body)
            self.assertEqual(answer.status, 400, body)
            self.assertIn(why, answer.json["error"])
        self.assertEqual(self.ask("GET", "/v1/links/a%20b").status, 400)
        self.assertEqual(self.ask("POST", "/v1/links/nobody", {"action": "reset"}).status, 404)

    def test_the_history_of_a_link(self):
        server = AdminServer()
        server.configure({"shop": {"url": f"sqlite:{server.folder / 'shop.db'}"}})
        self.addCleanup(self._end, server)
        self.server = server.start()
        server.write("/song.flac", some_bytes(1000))
        link = new_link_id()
        history = f"/v1/links/{link}/history"
        self.assertEqual(self.ask("GET", history).json, {"id": link, "kept": True, "downloads": []})
        request = server.sign("/song.flac", id=link, limit=3)
        for _ in range(2):
            server.get(request, {"User-Agent": "one/1"})
        rows = lambda: self.ask("GET", history).json["downloads"]
        eventually(lambda: [(row["outcome"], row["counted"]) for row in rows()], [("complete", 1)] * 2)
        row = rows()[0]
        self.assertEqual((row["client"], row["user_agent"], row["bytes"], row["file_size"]),
                         ("127.0.0.1", "one/1", 1000, 1000))
        self.assertEqual(len(self.ask("GET", history + "?limit=1").json["downloads"]), 1)
        for limit in ("x", "-1", "1001"):
            self.assertEqual(self.ask("GET", f"{history}?limit={limit}").status, 400)

    def test_without_a_shop_there_is_no_history(self):
        self.start_server()
        self.assertEqual(self.ask("GET", "/v1/links/a/history").json,
                         {"id": "a", "kept": False, "downloads": []})

    def test_a_transfer_is_listed_and_cut(self):
        self.start_server()
        link = new_link_id()
        before_ms = int(time.time() * 1000)
        client = self.start_slow_download(link)
        listed = self.ask("GET", f"/v1/transfers?link={link}").json
        self.assertEqual(listed["total"], 1)
        transfer = listed["transfers"][0]
        self.assertEqual((transfer["link"], transfer["path"], transfer["client"], transfer["tls"],
                          transfer["bytes_total"]), (link, "/slow.bin", "127.0.0.1", False, 8 * MIB))
        self.assertLess(abs(transfer["started_at_ms"] - before_ms), 60_000)
        self.assertLess(transfer["bytes_sent"], 8 * MIB)
        self.assertEqual(self.ask("GET", "/v1/transfers?link=another").json, {"total": 0, "transfers": []})
        self.assertEqual(self.ask("GET", "/v1/transfers?limit=0").json, {"total": 1, "transfers": []})
        cut = self.ask("POST", f"/v1/transfers/{transfer['id']}", {"action": "cut"})
        self.assertEqual(cut.json, {"id": transfer["id"], "cut": True})
        # The client gets no more than what was on its way.
        client.socket.settimeout(PATIENCE)
        received = 0
        try:
            while data := client.socket.recv(65536):
                received += len(data)
        except ConnectionResetError:
            pass
        self.assertLess(received, 8 * MIB)
        self.server.expect_link(link, in_flight=0, used=0)
        self.assertEqual(self.ask("POST", f"/v1/transfers/{transfer['id']}", {"action": "cut"}).status, 404)

    def test_a_wrong_question_about_transfers_is_named(self):
        self.start_server()
        for target in ("/v1/transfers?limit=1001", "/v1/transfers?limit=x", "/v1/transfers?link=a%20b"):
            self.assertEqual(self.ask("GET", target).status, 400, target)
        self.assertEqual(self.ask("POST", "/v1/transfers/0-1", {"action": "stop"}).status, 400)
        self.assertEqual(self.ask("POST", "/v1/transfers/9999-1", {"action": "cut"}).status, 404)
        for id in ("x", "1", "1-", "-1", "1-x"):
            self.assertEqual(self.ask("POST", f"/v1/transfers/{id}", {"action": "cut"}).status, 400, id)

    def test_a_signed_link_is_served(self):
        server = self.start_server()
        server.write("/music/Größe XL.flac", some_bytes(1000))
        url = self.ask("POST", "/v1/sign", {"path": "/music/Größe XL.flac", "id": new_link_id(),
                                            "max": 3, "expires": "72h"}).json["url"]
        self.assertTrue(url.startswith("http://dl.shop.example/music/Gr"), url)
        self.assertEqual(server.get(url.removeprefix("http://dl.shop.example")).body, some_bytes(1000))
        folder = self.ask("POST", "/v1/sign", {"path": "/music/", "id": "f", "folder": True,
                                               "expires": 4_000_000_000}).json["url"]
        self.assertIn(".p1.", folder)
        plain = self.ask("POST", "/v1/sign", {"path": "/a", "name": "b.c", "rate": 5, "ip": "::1",
                                              "starts": 1, "data": "d", "key": None,
                                              "token_in_path": True}).json["url"]
        self.assertIn("/tg=1.", plain)

    def test_every_mistake_of_a_link_to_be_signed_is_named(self):
        self.start_server()
        answer = self.ask("POST", "/v1/sign", {"path": 1, "max": -1, "expires": "soon", "rate": "fast",
                                               "folder": 1, "limit": 3})
        self.assertEqual(answer.status, 400)
        named = [re.match('"([a-z]+)"', line)[1] for line in answer.json["mistakes"]]
        self.assertEqual(named, ["path", "max", "expires", "rate", "folder", "limit"])
        answer = self.ask("POST", "/v1/sign", {"path": "a/../b", "max": 3, "ip": "x", "key": "none"})
        named = {re.match('"([a-z]+)"', line)[1] for line in answer.json["mistakes"]}
        self.assertEqual(named, {"path", "max", "ip", "key"})
        self.assertEqual(self.ask("POST", "/v1/sign", {"path": "/a", "folder": True}).status, 400)
        for body in ("", "[", "3"):
            self.assertEqual(self.server.ask_port("POST", "/v1/sign", body).status, 400)

    def test_a_reload_is_as_described(self):
        self.start_server()
        self.assertEqual(self.ask("POST", "/v1/reload").json, {"generation": 2, "restart_needed": []})
        self.server.config.write_text(self.server.config.read_text() + "[nothing]\n")
        answer = self.ask("POST", "/v1/reload")
        self.assertEqual((answer.status, len(answer.json["mistakes"])), (422, 1))
        self.assertEqual(self.ask("GET", "/healthz").json["status"], "degraded")

    def test_drain_is_said_once_and_finishes_what_runs(self):
        server = self.start_server({"server": {"drain_timeout": "1h", "send_timeout": "1h"}})
        client = self.start_slow_download(new_link_id())
        for _ in range(2):
            self.assertEqual(self.ask("POST", "/v1/drain").status, 202)
        eventually(lambda: self.ask("GET", "/readyz").json, {"ready": False, "why": "draining"})
        self.assertEqual(self.ask("GET", "/v1/live").json["status"], "draining")
        response = client.read_response("GET")
        self.assertEqual(response.body, some_bytes(8 * MIB))
        client.close()
        server.wait()

    def test_head_says_what_get_would(self):
        server = self.start_server()
        get, head = (server.ask_port(method, "/v1/session") for method in ("GET", "HEAD"))
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.field("Content-Length"), str(len(get.body)))

    def test_a_wrong_method_is_told_the_right_ones(self):
        server = self.start_server()
        answer = server.ask_port("DELETE", "/v1/links/a")
        self.assertEqual((answer.status, answer.field("Allow")), (405, "GET, HEAD, POST"))
        self.assertEqual(server.ask_port("GET", "/v1/nothing").status, 404)


class Whom(AdminTestCase):
    """The loopback port: the token, the browser's session, and everybody else."""

    def setUp(self):
        self.start_server()

    def login(self):
        """The Cookie field of a browser that logged in, and its CSRF secret."""
        answer = self.server.ask_port("POST", "/login", f"token={TOKEN}", {
            "Content-Type": "application/x-www-form-urlencoded"}, token=None)
        expect_described("POST", "/login", answer)
        self.assertEqual((answer.status, answer.field("Location")), (303, "/"))
        cookie = answer.field("Set-Cookie")
        self.assertRegex(cookie, r"^tallygate_session=[0-9a-f]{32}; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200$")
        fields = {"Cookie": cookie.partition(";")[0]}
        session = self.server.ask_port("GET", "/v1/session", fields=fields, token=None)
        expect_described("GET", "/v1/session", session)
        self.assertEqual(session.json["by"], "cookie")
        return fields, session.json["csrf"]

    def test_who_has_no_token_learns_nothing(self):
        for method in ("GET", "POST", "HEAD", "DELETE", "OPTIONS"):
            for path in DOCUMENT["paths"]:
                operation = DOCUMENT["paths"][path].get(method.lower(), {})
                if operation.get("security") == [] or path == "/" or \
                        (method == "HEAD" and DOCUMENT["paths"][path].get("get", {}).get("security") == []):
                    continue
                target = path.replace("{id}", "a")
                for token in (None, "another-token-of-the-tests", ""):
                    answer = self.server.ask_port(method, target, token=token)
                    self.assertEqual(answer.status, 401, f"{method} {target}")
                    self.assertEqual(answer.field("WWW-Authenticate"), 'Bearer realm="tallygate"')
        self.assertEqual(self.server.ask_port("GET", "/nothing", token=None).status, 401)

    def test_a_browser_is_sent_to_the_login(self):
        answer = self.server.ask_port("GET", "/", token=None)
        self.assertEqual((answer.status, answer.field("Location")), (303, "/login"))
        self.assertEqual(self.server.ask_port("GET", "/login", token=None).status, 200)
        wrong = self.server.ask_port("POST", "/login", "token=wrong", token=None)
        self.assertEqual((wrong.status, wrong.field("Set-Cookie")), (403, None))
        expect_described("POST", "/login", wrong)
        self.assertEqual(self.server.ask_port("GET", "/readyz", token=None).json, {"ready": True})

    def test_a_session_reads_and_with_its_secret_it_changes(self):
        cookie, csrf = self.login()
        self.assertEqual(self.server.ask_port("GET", "/healthz", fields=cookie, token=None).status, 200)
        revoke = {"action": "revoke"}
        bare = self.server.ask_port("POST", "/v1/links/a", revoke, cookie, token=None)
        self.assertEqual(bare.status, 403)
        expect_described("POST", "/v1/links/a", bare)
        self.assertIsNone(self.server.links_show("a"))  # nothing was done
        secret = {**cookie, "X-Tallygate-CSRF": csrf}
        foreign = {**secret, "Origin": "http://attacker.example"}
        self.assertEqual(self.server.ask_port("POST", "/v1/links/a", revoke, foreign, token=None).status, 403)
        self.assertIsNone(self.server.links_show("a"))
        own = {**secret, "Origin": f"http://127.0.0.1:{self.server.admin_port}"}
        self.assertEqual(self.server.ask_port("POST", "/v1/links/a", revoke, own, token=None).status, 200)
        self.assertEqual(self.server.links_show("a")["state"], "revoked")
        self.assertEqual(self.server.ask_port("POST", "/logout", fields=cookie, token=None).status, 403)
        out = self.server.ask_port("POST", "/logout", fields=secret, token=None)
        self.assertEqual(out.status, 204)
        self.assertIn("Max-Age=0", out.field("Set-Cookie"))
        self.assertEqual(self.server.ask_port("GET", "/healthz", fields=cookie, token=None).status, 401)

    def test_a_login_from_another_sites_form_is_refused(self):
        answer = self.server.ask_port("POST", "/login", f"token={TOKEN}",
                                      {"Origin": "http://attacker.example"}, token=None)
        self.assertEqual((answer.status, answer.field("Set-Cookie")), (403, None))

    def test_another_name_in_host_is_refused(self):
        for host in ("attacker.example", f"attacker.example:{self.server.admin_port}", "0.0.0.0"):
            answer = self.server.ask_port("GET", "/healthz", fields={"Host": host})
            self.assertEqual(answer.status, 421, host)
            expect_described("GET", "/healthz", answer)
        self.assertEqual(self.server.ask_port("GET", "/healthz", fields={"Host": "localhost:9"}).status, 200)

    def test_another_token_ends_what_the_old_one_opened(self):
        cookie, _ = self.login()
        self.server.write_token("the-next-token-of-these-tests")
        self.server.reload()
        self.assertEqual(self.server.ask_port("GET", "/healthz", fields=cookie, token=None).status, 401)
        self.assertEqual(self.server.ask_port("GET", "/healthz").status, 401)
        self.assertEqual(self.server.ask_port("GET", "/healthz", token="the-next-token-of-these-tests").status, 200)

    def test_the_token_stands_nowhere(self):
        self.login()
        self.server.get("/")
        self.assertNotIn(TOKEN, self.server.stderr())
        self.assertNotIn(TOKEN, self.server.access_log.read_text())

    def test_answers_are_neither_kept_nor_guessed_at(self):
        for target in ("/v1/live", "/login", "/metrics"):
            answer = self.server.ask_port("GET", target)
            self.assertEqual(answer.field("Cache-Control"), "no-store")
            self.assertEqual(answer.field("X-Content-Type-Options"), "nosniff")


class Settings(AdminTestCase):
    def check(self, **admin):
        server = AdminServer()
        self.addCleanup(server.remove)
        server.configure({"admin": admin})
        done = server.command("check", "--config", server.config, check=False)
        return done.returncode, done.stderr

    def test_a_port_for_everybody_is_refused(self):
        for listen in ("0.0.0.0:8081", "[::]:8081", "192.0.2.1:8081"):
            code, said = self.check(listen=listen)
            self.assertEqual(code, 78, said)
            self.assertIn("not a loopback address", said)

    def test_a_port_needs_a_token(self):
        code, said = self.check(token_file=None)
        self.assertEqual(code, 78)
        self.assertIn("admin.listen: needs admin.token_file", said)

    def test_a_weak_or_open_token_is_refused(self):
        server = AdminServer()
        self.addCleanup(server.remove)
        check = lambda: server.command("check", "--config", server.config, check=False)
        for token, why in (("short", "16 to 1024 bytes"), ("with a space in its midst", "without spaces"),
                           ("two\nlines-of-a-token-file", "one line"), ("", "one line"),
                           ("zürich-zürich-zürich", "ASCII")):
            server.write_token(token)
            done = check()
            self.assertEqual(done.returncode, 78, token)
            self.assertIn(why, done.stderr)
        server.write_token(TOKEN)
        server.token_file.chmod(0o644)
        self.assertIn("others have access", check().stderr)
        server.token_file.unlink()
        self.assertIn("cannot be read", check().stderr)

    def test_a_port_that_is_taken_stops_the_start(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            server = AdminServer()
            self.addCleanup(server.remove)
            server.configure({"admin": {"listen": f"127.0.0.1:{taken.getsockname()[1]}"}})
            with self.assertRaisesRegex(AssertionError, "admin.listen: cannot listen on"):
                server.start()


if __name__ == "__main__":
    main()
