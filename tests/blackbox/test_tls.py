"""TLS for clients: what is spoken, new certificates, and that streams stay streams."""

import hashlib
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from canned import Canned, answer
from certificates import Authority
from gate import Gate, basic
from plain_client import ask, receive, wait_for_end
from test_gate import FRESH, NO_OP, certificate, state
from test_operator import run


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("listener"))


class Pair:
    """Two files that the gate reads, and what is put into them."""

    def __init__(self, authority, folder):
        self.authority = authority
        self.cert, self.key = folder / "gate.pem", folder / "gate.key"
        self.put("first")

    def put(self, name, **kind):
        cert, key = self.authority.issue(name, "DNS:localhost", "IP:127.0.0.1", **kind)
        self.cert.write_bytes(cert.read_bytes())
        self.key.write_bytes(key.read_bytes())

    @property
    def settings(self):
        return {"TLS_CERT": str(self.cert), "TLS_KEY": str(self.key)}

    def context(self, **limits):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        for name, value in limits.items():
            setattr(context, name, value)
        return context

    def connect(self, gate, context=None):
        plain = socket.create_connection(("127.0.0.1", gate.port), timeout=60)
        return (context or self.context()).wrap_socket(plain, server_hostname="localhost")


@pytest.fixture
def pair(authority, tmp_path):
    return Pair(authority, tmp_path)


def name_of(client):
    return dict(part for (part,) in client.getpeercert()["subject"])["commonName"]


def post(client, body, target="/jmap/", headers=""):
    client.sendall((f"POST {target} HTTP/1.1\r\nHost: mail.test\r\n{headers}"
                    f"Authorization: {basic('admin')}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n").encode() + body)


def test_the_gates_work_goes_on_under_tls(standin, pair):
    standin.put_state(**state([certificate(FRESH)]))
    create = {"k": {"@type": "AcmeRenewal", "domainId": "b"}}
    body = json.dumps({"using": [], "methodCalls": [["x:Task/set", {"create": create}, "c"]]})
    with Gate(standin.port, **pair.settings) as gate, pair.connect(gate) as client:
        assert ask(client) == 200
        post(client, body.encode())
        assert NO_OP in receive(client)[1].decode()
        client.sendall(b"GET /jmap/session HTTP/1.1\r\nHost: mail.test\r\n\r\n")
        session = receive(client)[1].decode()
        assert "https://mail.test/jmap/" in session and "wss://mail.test/jmap/ws" in session
    assert {value for entry in standin.log() for name, value in entry["headers"]
            if name == "X-Forwarded-Proto"} == {"https"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # that is the point
def test_versions_and_ciphers(standin, pair):
    version = ssl.TLSVersion
    with Gate(standin.port, **pair.settings) as gate:
        for each, name in ((version.TLSv1_2, "TLSv1.2"), (version.TLSv1_3, "TLSv1.3")):
            context = pair.context(minimum_version=each, maximum_version=each)
            context.set_alpn_protocols(["h2", "http/1.1"])
            with pair.connect(gate, context) as client:
                assert client.version() == name
                assert client.selected_alpn_protocol() == "http/1.1"
                assert ask(client) == 200
        old = pair.context(minimum_version=version.TLSv1, maximum_version=version.TLSv1_1)
        old.set_ciphers("DEFAULT@SECLEVEL=0")
        weak = pair.context(maximum_version=version.TLSv1_2)
        weak.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:AES128-GCM-SHA256")
        for context in (old, weak):
            with pytest.raises(ssl.SSLError):
                pair.connect(gate, context)


def test_a_new_pair_on_sighup_drops_nobody(standin, pair):
    with Gate(standin.port, **pair.settings) as gate, pair.connect(gate) as before:
        # One connection in the middle of its handshake, too.
        plain = socket.create_connection(("127.0.0.1", gate.port), timeout=60)
        assert name_of(before) == "first" and ask(before) == 200
        for at, kind in enumerate(({"rsa": True}, {})):
            pair.put(f"next{at}", **kind)
            gate.process.send_signal(signal.SIGHUP)
            gate.logged("read again")
            gate.lines.clear()
            with pair.connect(gate) as after:
                assert name_of(after) == f"next{at}" and ask(after) == 200
        assert ask(before) == 200
        with pair.context().wrap_socket(plain, server_hostname="localhost") as late:
            assert ask(late) == 200


def replace_in_place(pair):
    pair.put("next")


def replace_as_kubernetes_does(pair):
    """The paths are links through a link to a folder, and that one is swapped."""
    swap = pair.cert.parent / "..data.next"
    folder = pair.cert.parent / "..2"
    folder.mkdir()
    cert, key = pair.authority.issue("next", "DNS:localhost", "IP:127.0.0.1")
    (folder / "gate.pem").write_bytes(cert.read_bytes())
    (folder / "gate.key").write_bytes(key.read_bytes())
    swap.symlink_to(folder)
    swap.rename(pair.cert.parent / "..data")


def replace_as_certbot_does(pair):
    """Each path is a link to a file in an archive, and the links are set anew, one by one."""
    cert, key = pair.authority.issue("next", "DNS:localhost", "IP:127.0.0.1")
    for path, source in ((pair.cert, cert), (pair.key, key)):
        path.unlink()
        path.symlink_to(source)


@pytest.mark.parametrize("replace", [replace_in_place, replace_as_kubernetes_does,
                                     replace_as_certbot_does])
def test_a_new_pair_is_noticed_without_a_signal(standin, pair, replace):
    first = pair.cert.parent / "..1"
    first.mkdir()
    (pair.cert.parent / "..data").symlink_to(first)
    for path in (pair.cert, pair.key):
        path.rename(first / path.name)
        path.symlink_to(pair.cert.parent / "..data" / path.name)
    with Gate(standin.port, **pair.settings) as gate, pair.connect(gate) as before:
        first_end = expiry(gate)
        time.sleep(1.1)  # an end of life has whole seconds
        replace(pair)
        gate.logged("read again")
        with pair.connect(gate) as after:
            assert name_of(after) == "next" and ask(after) == 200
            assert expiry(gate) == ssl.cert_time_to_seconds(after.getpeercert()["notAfter"])
        assert expiry(gate) > first_end and ask(before) == 200
        assert not [line for line in gate.lines if "old ones stay" in line]


def test_half_a_new_pair_waits_for_the_other_half(standin, pair):
    """Nothing is lost by files that do not belong together; once they do, they are read."""
    cert, key = pair.authority.issue("next", "DNS:localhost", "IP:127.0.0.1")
    with Gate(standin.port, **pair.settings) as gate:
        pair.cert.write_bytes(cert.read_bytes())
        gate.logged("the old ones stay")
        with pair.connect(gate) as client:
            assert name_of(client) == "first"
        pair.key.write_bytes(key.read_bytes())
        gate.logged("read again")
        with pair.connect(gate) as client:
            assert name_of(client) == "next"
        assert len([line for line in gate.lines if "old ones stay" in line]) == 1


def expiry(gate):
    text = gate.admin("/metrics")[1]
    return int(re.search(r"^renewgate_own_certificate_expiry_timestamp_seconds (\d+)$", text,
                         re.M)[1])


@pytest.mark.parametrize("damage", ["gone", "empty", "no PEM", "another's key", "half"])
def test_a_broken_pair_is_refused_and_the_old_one_stays(standin, pair, damage):
    with Gate(standin.port, **pair.settings) as gate:
        if damage == "gone":
            pair.cert.unlink()
        elif damage == "empty":
            pair.cert.write_text("")
        elif damage == "no PEM":
            pair.key.write_text("nonsense\n")
        elif damage == "another's key":
            pair.key.write_bytes(pair.authority.issue("other", "DNS:x")[1].read_bytes())
        else:
            pair.cert.write_bytes(pair.cert.read_bytes()[:200])
        gate.process.send_signal(signal.SIGHUP)
        line = gate.logged("the old ones stay")[0]
        assert line["level"] == "error" and line["error"] and line["cert"] == str(pair.cert)
        with pair.connect(gate) as client:
            assert name_of(client) == "first" and ask(client) == 200
    ended = run(UPSTREAM_URL="http://127.0.0.1:1", **pair.settings)
    said, = ended.stderr.splitlines()
    assert ended.returncode == 2 and "RENEWGATE_TLS_CERT" in said and "allowed" in said


def test_both_or_none(pair):
    for name, value in pair.settings.items():
        ended = run(UPSTREAM_URL="http://127.0.0.1:1", **{name: value})
        line, = ended.stderr.splitlines()
        assert ended.returncode == 2
        assert "RENEWGATE_TLS_CERT" in line and "RENEWGATE_TLS_KEY" in line and "both" in line


def test_sighup_without_tls_is_harmless(standin):
    with Gate(standin.port) as gate:
        gate.process.send_signal(signal.SIGHUP)
        gate.logged("TLS is not configured")
        assert gate.request("GET", "/healthz/live")[0] == 200


def test_interim_answers_are_passed_on(pair):
    sent = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer(b"whole")
    with Canned(sent) as server, Gate(server.port, **pair.settings) as gate, \
            pair.connect(gate) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: mail.test\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: client.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 103 ") and received.endswith(b"whole")
    assert b"\r\nHTTP/1.1 200 " in received


def test_an_answer_to_a_client_that_still_sends(standin, pair):
    with Gate(standin.port, MAX_REQUEST=1024, **pair.settings) as gate, \
            pair.connect(gate) as client:
        client.sendall(b"POST /jmap/ HTTP/1.1\r\nHost: mail.test\r\n"
                       b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                       b"800\r\n" + b"x" * 0x800 + b"\r\n800\r\n")
        status, body = receive(client)
        assert (status, json.loads(body)["limit"]) == (400, "maxSizeRequest")
        assert client.recv(1) == b"", "an end of TLS, not a cut"


def test_large_bodies_both_ways(standin, pair):
    length = 20 << 20
    with Gate(standin.port, **pair.settings) as gate, pair.connect(gate) as client:
        post(client, b"x" * length, "/jmap/upload/d333333/")
        assert json.loads(receive(client)[1])["size"] == length
        client.sendall((f"GET /jmap/download/d333333/blob{length}/x HTTP/1.1\r\nHost: mail.test\r\n"
                        f"Connection: close\r\nAuthorization: {basic('admin')}\r\n\r\n").encode())
        received = b"".join(iter(lambda: client.recv(1 << 20), b""))
    body = received.partition(b"\r\n\r\n")[2]
    wanted = bytes(at * 31 + 7 & 255 for at in range(256)) * (length // 256)
    assert hashlib.sha256(body).digest() == hashlib.sha256(wanted).digest()


def test_requests_in_one_record_and_records_of_one_byte(standin, pair):
    request = b"GET /healthz/live HTTP/1.1\r\nHost: mail.test\r\n\r\n"
    last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with Gate(standin.port, **pair.settings) as gate:
        for pieces in ([request * 20 + last], [bytes([byte]) for byte in request + last]):
            with pair.connect(gate) as client:
                for piece in pieces:
                    client.sendall(piece)
                received = b"".join(iter(lambda: client.recv(65536), b""))
            assert received.count(b"HTTP/1.1 200") == b"".join(pieces).count(b"GET")


def test_a_record_that_ends_behind_a_body_that_had_to_wait(standin, pair):
    """Bytes that GnuTLS has decrypted already are seen although the socket has no more."""
    with Gate(standin.port, **pair.settings) as gate, pair.connect(gate) as client:
        for length in (16383, 16384, 65537, 300000, 1 << 20):
            post(client, b"x" * length, "/jmap/upload/d333333/")
            assert json.loads(receive(client)[1])["size"] == length


@pytest.mark.parametrize("hello", [
    b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n\r\n",
    b"\x80\x2e\x01\x00\x02", bytes(range(256)),
], ids=["nothing", "a start", "half a hello", "plain HTTP", "SSL 2", "noise"])
def test_what_is_no_handshake_ends(standin, pair, hello):
    with Gate(standin.port, HEADER_TIMEOUT="2s", IDLE_TIMEOUT="1h", **pair.settings) as gate:
        with socket.create_connection(("127.0.0.1", gate.port), timeout=60) as client:
            client.sendall(hello)
            wait_for_end(client)
        with pair.connect(gate) as client:
            assert ask(client) == 200


def test_many_clients_at_once_with_slow_ones_among_them(standin, pair):
    with Gate(standin.port, HEADER_TIMEOUT="1h", **pair.settings) as gate:
        slow = [socket.create_connection(("127.0.0.1", gate.port), timeout=60) for _ in range(50)]
        for client in slow:
            client.sendall(b"\x16\x03\x01\x02")
        statuses = []

        def work():
            for _ in range(3):
                with pair.connect(gate) as client:
                    statuses.extend(ask(client) for _ in range(5))

        threads = [threading.Thread(target=work) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert statuses == [200] * 450
        for client in slow:
            client.close()


@pytest.mark.workers
def test_handshakes_while_the_pair_changes(standin, pair):
    """A pair is let go of by whichever thread used it last."""
    with Gate(standin.port, WORKERS=4, **pair.settings) as gate:
        statuses = []

        def work():
            for _ in range(20):
                with pair.connect(gate) as client:
                    statuses.append(ask(client))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for at in range(10):
            gate.lines.clear()
            pair.put(f"pair{at}")
            gate.process.send_signal(signal.SIGHUP)
            gate.logged("read again")
        for thread in threads:
            thread.join(120)
    assert statuses == [200] * 160


def test_a_stream_under_tls_at_the_stop(standin, pair):
    with Gate(standin.port, DRAIN_TIMEOUT="1s", **pair.settings) as gate:
        with pair.connect(gate) as idle, pair.connect(gate) as stream:
            assert ask(idle) == 200
            stream.sendall((f"GET /jmap/eventsource/?ping=0 HTTP/1.1\r\nHost: mail.test\r\n"
                            f"Authorization: {basic('admin')}\r\n\r\n").encode())
            assert b" 200 " in stream.recv(65536)
            gate.process.send_signal(signal.SIGTERM)
            assert gate.stop() == 0


def test_curl(standin, pair):
    with Gate(standin.port, **pair.settings) as gate:
        done = subprocess.run(["curl", "-sS", "--cacert", pair.authority.certificate, "--http1.1",
                               f"https://localhost:{gate.port}/healthz/live"],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and '"status"' in done.stdout, done.stderr
