"""Where the gate reads an answer it asks for one that it can read; and what becomes of others."""

import gzip
import http.client
import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler

import pytest

from gate import Gate, basic
from standin import USING
from test_gate import CREATE, DUE, FRESH, NO_OP, certificate, state

BODY = {"using": [], "methodCalls": [["x:Task/set", {"create": {"k": CREATE}}, "c0"]]}


class Middlebox:
    """Between gate and server: compresses what may be compressed, or all of it (`stubborn`)."""

    def __init__(self, port, stubborn=False):
        box = self
        self.asked, self.stubborn = [], stubborn

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def relay(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                wanted = self.headers.get("Accept-Encoding")
                box.asked.append((self.path, wanted))
                server = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                server.request(self.command, self.path, body or None, dict(self.headers))
                answer = server.getresponse()
                content = answer.read()
                server.close()
                coded = box.stubborn or "identity" not in (wanted or "gzip")
                self.send_response(answer.status)
                for name in ("Content-Type", "Date"):
                    if answer.headers[name]:
                        self.send_header(name, answer.headers[name])
                if coded:
                    content = gzip.compress(content)
                    self.send_header("Content-Encoding", "gzip")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = relay

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = allow_reuse_address = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("accepts", [None, "gzip, br", ""], ids=["any", "gzip", "empty"])
def test_what_is_read_is_not_compressed(standin, accepts):
    standin.put_state(**state([certificate(FRESH)]))
    fields = {"Accept-Encoding": "identity" if accepts is None else accepts}
    with Middlebox(standin.port) as box, Gate(box.port) as gate:
        for _ in range(2):
            status, answer = gate.post(BODY, headers=fields)
            assert status == 200
            (_, made, _), = answer["methodResponses"]
            assert made["created"]["k"]["id"].startswith(NO_OP)
        status, head, session = gate.request("GET", "/jmap/session", headers={
            "Authorization": basic("admin"), **fields})
        assert status == 200 and head["Content-Encoding"] is None
        assert json.loads(session)["apiUrl"].startswith(f"http://127.0.0.1:{gate.port}/")
        assert {wanted for _, wanted in box.asked} == {"identity"}


def test_what_is_relayed_may_be_compressed(standin):
    with Middlebox(standin.port) as box, Gate(box.port) as gate:
        status, head, body = gate.request("POST", "/jmap/", json.dumps(
            {"using": USING, "methodCalls": [["Core/echo", {"a": 1}, "c"]]}).encode(), {
                "Authorization": basic("admin"), "Content-Type": "application/json",
                "Accept-Encoding": "gzip"})
        assert status == 200 and head["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(body))["methodResponses"][0][1] == {"a": 1}


def test_who_compresses_all_the_same(standin):
    """Nobody is told a guess, and the log says what is wrong."""
    standin.put_state(**state([certificate(DUE)]))
    with Middlebox(standin.port, stubborn=True) as box, Gate(box.port) as gate:
        for _ in range(3):
            assert gate.post(BODY)[0] == 502
        status, _, body = gate.request("GET", "/jmap/session",
                                       headers={"Authorization": basic("admin")})
        assert status == 502 and json.loads(body)["status"] == 502
        assert gate.logged("Content-Encoding")


def test_who_compresses_an_observed_answer(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Middlebox(standin.port, stubborn=True) as box, Gate(box.port, MODE="observe") as gate:
        status, head, body = gate.request("POST", "/jmap/", json.dumps(BODY).encode(), {
            "Authorization": basic("admin"), "Content-Type": "application/json"})
        assert status == 200 and head["Content-Encoding"] == "gzip"
        assert "created" in json.loads(gzip.decompress(body))["methodResponses"][0][1]
