"""`--check` and the address by which clients and CAs reach the gate."""

import json
import os

import pytest

from certificates import Authority
from servers import HttpServer, TlsFront
from standin import basic
from test_gate import domain, state
from test_operator import run


class Server(HttpServer):
    """Whatever is on port 80, or what stands before a stand-in: answers by path, else as told."""

    def __init__(self, answers, host="127.0.0.1", port=0, other=(404, b"none")):
        self.answers, self.other = answers, other
        super().__init__(host, port)

    def answer(self, method, target, fields, body):
        status, content = self.answers.get(target, self.other)
        if status in (301, 308):
            return status, [("Location", content.decode())], b""
        return status, [], content


def line_of(checked, word):
    return [line for line in checked.stdout.splitlines() if line.startswith(word + ": ")]


METADATA = {"/.well-known/openid-configuration":
            (200, json.dumps({"issuer": "https://mail.example.org"}).encode()),
            "/healthz/live": (200, b"")}


@pytest.mark.parametrize("public, words", [
    ("https://mail.example.org", "as clients do"), ("https://MAIL.example.org/", "as clients do"),
    ("https://gate.example.org", "STALWART_PUBLIC_URL=https://gate.example.org"),
    ("http://mail.example.org", "WARNING"), ("auto", "must reach the gate by that address"),
])
def test_whether_the_server_calls_itself_as_clients_do(public, words):
    with Server(METADATA) as server:
        checked = run("--check", UPSTREAM_URL=f"http://127.0.0.1:{server.port}", PUBLIC_URL=public)
    assert checked.returncode == 0, "a warning is no fault"
    line, = line_of(checked, "sign-in")
    assert words in line and ("WARNING" in line) == (words not in
                                                     ("as clients do",
                                                      "must reach the gate by that address"))


@pytest.mark.parametrize("host, exempt", [
    ("127.0.0.1", True), ("localhost", True), ("LOCALHOST", True), ("127.0.0.2", False)])
def test_bans_are_spoken_of_where_they_can_hit_the_gate(host, exempt):
    """The server bans nobody on the loopback addresses that it knows."""
    with Server(METADATA) as here, Server(METADATA, host="127.0.0.2", port=here.port):
        checked = run("--check", UPSTREAM_URL=f"http://{host}:{here.port}")
    line, = line_of(checked, "bans")
    assert ("AllowedIp" in line) == (not exempt)


def test_a_server_that_tells_no_issuer(standin):
    assert line_of(run("--check", UPSTREAM_URL=standin.url), "sign-in") == []


def challenges(standin, **settings):
    checked = run("--check", UPSTREAM_URL=standin.url, SERVICE_AUTHORIZATION=basic(), **settings)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return line_of(checked, "challenges")


# One that no test beside this one has.
HOST = f"127.9.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"


def on_port_80(answers, **more):
    try:
        return Server(answers, host=HOST, port=80, **more)
    except OSError:
        pytest.skip("port 80 cannot be had here")


PUBLIC = {"PUBLIC_URL": f"https://{HOST}:8443"}
PATH = "/.well-known/acme-challenge/renewgate-check"


def test_port_80_leads_to_the_server(standin):
    standin.put_state(**state())
    with on_port_80({}, other=(301, f"{standin.url}{PATH}".encode())):
        line, = challenges(standin, **PUBLIC)
    assert line == f"challenges: http://{HOST}{PATH} leads to the server (status 404, as it " \
                   "answers itself)"


def test_something_else_is_on_port_80(standin):
    standin.put_state(**state())
    with on_port_80({}, other=(404, b"It works!")):
        line, = challenges(standin, **PUBLIC)
    assert "WARNING" in line and "something else" in line and "docs/front.md" in line


def test_nothing_is_on_port_80(standin):
    standin.put_state(**state())
    line, = challenges(standin, PUBLIC_URL="https://127.0.0.8")
    assert "WARNING" in line and "cannot be fetched from here" in line


def test_it_is_tried_where_it_matters_only(standin):
    standin.put_state(**state(challenge="Dns01"))
    assert challenges(standin, **PUBLIC) == []
    standin.put_state(**state())
    line, = challenges(standin)
    assert "with RENEWGATE_PUBLIC_URL set" in line


@pytest.mark.parametrize("domains, credential, words", [
    ([domain()], True, "WARNING: its certificate is of example.org, which is renewed"),
    ([domain(name="mail.example.org")], True, "WARNING: its certificate is of mail.example.org"),
    ([domain(kind="Manual")], True, None), ([domain(name="other.org")], True, None),
    ([domain()], False, "WARNING: if its certificate is one"),
], ids=["its domain", "its name", "by hand", "another", "nobody to ask"])
def test_whether_the_servers_certificate_is_renewed_here(standin, tmp_path, domains, credential,
                                                         words):
    standin.put_state(**state(domains=domains))
    authority = Authority(tmp_path)
    settings = {"SERVICE_AUTHORIZATION": basic()} if credential else {}
    with TlsFront(authority.issue("mail", "DNS:mail.example.org"), standin.port) as server:
        checked = run("--check", UPSTREAM_URL=f"https://127.0.0.1:{server.port}",
                      UPSTREAM_TLS_NAME="mail.example.org", UPSTREAM_CA=authority.certificate,
                      **settings)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    warnings = [line for line in line_of(checked, "server") if "WARNING" in line]
    assert len(warnings) == (words is not None) and all(words in line for line in warnings)
