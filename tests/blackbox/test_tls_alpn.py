"""tls-alpn-01: a CA's connection is passed on to the server byte for byte, everyone else's is served."""

import contextlib
import os
import signal
import socket
import ssl
import threading
import time

import pytest

from certificates import Authority
from gate import Gate
from plain_client import ask, has_ended, wait_for_end
from servers import SocketServer
from test_operator import run
from test_tls import Pair, name_of
from waiting import wait_until


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("alpn"))


@pytest.fixture
def pair(authority, tmp_path):
    return Pair(authority, tmp_path)


class Server(SocketServer):
    """The mail server's TLS listener: shows its certificate, says a word, and waits for the end."""

    def __init__(self, authority):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*authority.issue("challenge", "DNS:localhost"))
        self.context.set_alpn_protocols(["acme-tls/1"])
        self.served = 0
        super().__init__()

    def serve(self, client):
        with self.context.wrap_socket(client, server_side=True) as tls:
            self.served += 1
            tls.sendall(b"seen")
            while tls.recv(65536):
                pass


def start(standin, pair, server, **settings):
    return Gate(standin.port, TLS_ALPN_UPSTREAM=f"127.0.0.1:{server.port}", **pair.settings,
                **settings)


def offering(pair, *protocols):
    context = pair.context()
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def test_only_who_offers_nothing_else_is_passed_on(standin, pair, authority):
    with Server(authority) as server, start(standin, pair, server) as gate:
        with pair.connect(gate, offering(pair, "acme-tls/1")) as ca:
            assert name_of(ca) == "challenge" and ca.selected_alpn_protocol() == "acme-tls/1"
            assert ca.recv(4) == b"seen"
        for protocols in ((), ("http/1.1",), ("h2", "http/1.1"), ("acme-tls/1", "http/1.1")):
            with pair.connect(gate, offering(pair, *protocols)) as client:
                assert name_of(client) == "first" and ask(client) == 200
        assert server.served == 1
        line, = gate.logged("tls-alpn-01")
        assert line["peer"] == "127.0.0.1"


def hello_of(context):
    """What a client says first, and its side of the handshake."""
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(received, sent, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read(), client, received, sent


def in_records(hello, most):
    body = hello[5:]
    pieces = [body[at:at + most] for at in range(0, len(body), most)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize("protocol, name", [("acme-tls/1", "challenge"), ("http/1.1", "first")])
@pytest.mark.parametrize("most", [16384, 7])
def test_a_first_message_in_pieces(standin, pair, authority, protocol, name, most):
    """In many segments, and in many records."""
    with Server(authority) as server, start(standin, pair, server) as gate, \
            socket.create_connection(("127.0.0.1", gate.port), timeout=60) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello, client, received, sent = hello_of(offering(pair, protocol))
        records = in_records(hello, most)
        step = len(records) // 40
        for at in range(0, len(records), step):
            plain.sendall(records[at:at + step])
            time.sleep(0.002)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(sent.read())
                piece = plain.recv(65536)
                assert piece, "closed"
                received.write(piece)
        assert name_of(client) == name


@pytest.mark.parametrize("said", [
    b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x40\x00" + b"\x01\x00\x3f\xfc" + b"x" * 16380,
    b"\x16\x03\x01\x00\x01\x01" * 4000, bytes(range(256)) * 80, b"\x16\x03\x01\xff\xff" + b"y" * 65536,
], ids=["plain HTTP", "a bad hello", "endless records", "noise", "a long record"])
def test_what_is_no_hello_ends(standin, pair, authority, said):
    with Server(authority) as server, \
            start(standin, pair, server, HEADER_TIMEOUT="2s", IDLE_TIMEOUT="2s") as gate:
        with socket.create_connection(("127.0.0.1", gate.port), timeout=60) as client:
            with contextlib.suppress(ConnectionError):
                client.sendall(said)
            wait_for_end(client)
        with pair.connect(gate) as client:
            assert ask(client) == 200
        assert server.served == 0


def test_silence_ends_in_time_and_stops_nobody(standin, pair, authority):
    with Server(authority) as server, start(standin, pair, server, HEADER_TIMEOUT="1s") as gate:
        hello = hello_of(offering(pair, "acme-tls/1"))[0]
        silent = [socket.create_connection(("127.0.0.1", gate.port), timeout=60) for _ in range(40)]
        for client in silent:
            client.sendall(hello[:100])
        with pair.connect(gate) as client:
            assert ask(client) == 200
        for client in silent:
            wait_for_end(client)
            client.close()


def test_a_ca_looks_at_many_names_at_once(standin, pair, authority):
    """All from one address: the server asks for all of a certificate's names at the same time."""
    with Server(authority) as server, start(standin, pair, server) as gate, \
            contextlib.ExitStack() as held:
        for _ in range(16):
            ca = held.enter_context(pair.connect(gate, offering(pair, "acme-tls/1")))
            assert ca.recv(4) == b"seen"
        assert server.served == 16


def is_open(client):
    client.settimeout(0)
    try:
        return client.recv(1) != b""
    except ssl.SSLWantReadError:
        return True


def test_the_oldest_of_a_client_ends_for_its_next(standin, pair, authority):
    with Server(authority) as server, start(standin, pair, server) as gate, \
            contextlib.ExitStack() as held:
        clients = []
        for _ in range(20):
            clients.append(held.enter_context(pair.connect(gate, offering(pair, "acme-tls/1"))))
            assert clients[-1].recv(4) == b"seen"
        for client in clients[:4]:
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                assert client.recv(1) == b""
        assert is_open(clients[4]) and is_open(clients[-1])


def passed_on(gate):
    return sum("is passed on" in line for line in list(gate.lines))


def threads_of(gate):
    return len(os.listdir(f"/proc/{gate.process.pid}/task"))


def test_the_oldest_of_all_ends_when_places_run_out(standin, pair, authority):
    """Whoever keeps its connections does not keep a CA away. Each has a thread, and an old one its
    place until that is over."""
    hello = hello_of(offering(pair, "acme-tls/1"))[0]
    with Server(authority) as server, start(standin, pair, server) as gate, \
            contextlib.ExitStack() as held:
        before, silent = threads_of(gate), []
        for i in range(100):
            silent.append(held.enter_context(begin(gate, hello, f"127.0.1.{i % 64 + 1}")))
            wait_until(lambda: passed_on(gate) == len(silent))
            assert len(silent) <= 48 or has_ended(silent[-49])
            wait_until(lambda: threads_of(gate) <= before + 48)
        with pair.connect(gate, offering(pair, "acme-tls/1")) as ca:
            assert ca.recv(4) == b"seen" and has_ended(silent[-48])


class Listener(Server):
    """Takes acme-tls/1 for any other connection, as the server's does where no provider has the
    challenge, and notes what it is asked."""

    def __init__(self, authority):
        self.read = []
        super().__init__(authority)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*authority.issue("challenge", "DNS:localhost"))

    def _serve(self, client):
        said = b""
        with contextlib.suppress(OSError), self.context.wrap_socket(client, server_side=True) as tls:
            while piece := tls.recv(65536):
                said += piece
                self.read.append(said)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_it_is_no_way_around_the_gate(standin, pair, authority, version):
    with Listener(authority) as server, start(standin, pair, server) as gate:
        context = offering(pair, "acme-tls/1")
        context.maximum_version = version
        for request in (b"GET /x.php HTTP/1.0\n\n", b"G"):
            with pair.connect(gate, context) as client:
                assert name_of(client) == "challenge" and client.version() is not None
                with contextlib.suppress(ssl.SSLError, OSError):
                    for _ in range(100):
                        client.sendall(request)
                        time.sleep(0.001)
                    wait_for_end(client)
        assert gate.logged("it is none", 2)
        assert max(map(len, server.read), default=0) <= 2


def test_a_listener_that_is_not_there(standin, pair):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with Gate(standin.port, TLS_ALPN_UPSTREAM=f"127.0.0.1:{port}", **pair.settings) as gate:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            pair.connect(gate, offering(pair, "acme-tls/1"))
        assert gate.logged("cannot be reached")[0]["level"] == "error"


def test_behind_a_balancer_that_speaks_proxy(standin, pair, authority):
    with Server(authority) as server, start(standin, pair, server, PROXY_PROTOCOL="on",
                                            TRUSTED_PROXIES="127.0.0.1") as gate:
        for protocol, name in (("acme-tls/1", "challenge"), ("http/1.1", "first")):
            plain = socket.create_connection(("127.0.0.1", gate.port), timeout=60)
            plain.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 12345 443\r\n")
            with offering(pair, protocol).wrap_socket(plain, server_hostname="localhost") as client:
                assert name_of(client) == name
        assert gate.logged("tls-alpn-01")[0]["peer"] == "192.0.2.7"


def test_the_stop_does_not_wait_for_it(standin, pair, authority):
    with Server(authority) as server, start(standin, pair, server) as gate:
        with pair.connect(gate, offering(pair, "acme-tls/1")) as ca:
            assert ca.recv(4) == b"seen"
            gate.process.send_signal(signal.SIGTERM)
            assert gate.stop() == 0


class Silent:
    """A listener that takes connections and never says a word, nor that it has heard the end."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        return self

    def __exit__(self, *_):
        self.socket.close()


def begin(gate, hello, address="127.0.0.1", before=b""):
    client = socket.create_connection(("127.0.0.1", gate.port), 60, (address, 0))
    client.sendall(before + hello)
    return client


def test_the_stop_does_not_wait_for_a_silent_listener(standin, pair):
    with Silent() as server, start(standin, pair, server) as gate:
        with begin(gate, hello_of(offering(pair, "acme-tls/1"))[0]):
            gate.logged("is passed on")
            gate.process.send_signal(signal.SIGTERM)
            assert gate.process.wait(8) == 0, "it lives for ten seconds"


def test_one_network_is_one_client(standin, pair):
    """Of IPv6: who has one has 2^64 addresses."""
    hello = hello_of(offering(pair, "acme-tls/1"))[0]
    with Silent() as server, start(standin, pair, server, PROXY_PROTOCOL="on",
                                            TRUSTED_PROXIES="127.0.0.1") as gate, \
            contextlib.ExitStack() as held:
        clients = []
        for i in range(20):
            told = f"PROXY TCP6 2001:db8:0:{i // 19}::{i + 1:x} 2001:db8::f 12345 443\r\n".encode()
            clients.append(held.enter_context(begin(gate, hello, before=told)))
            gate.logged("is passed on", i + 1)
        for client in clients[:3]:
            wait_for_end(client)
        assert gate.logged("is passed on", 20)[-1]["peer"] == "2001:db8:0:1::14"
        assert not any(map(has_ended, clients[3:]))


def test_it_takes_no_file_that_others_need(standin, pair):
    hello = hello_of(offering(pair, "acme-tls/1"))[0]
    with Silent() as server, \
            start(standin, pair, server, wrapper=["prlimit", "--nofile=100:100"]) as gate, \
            contextlib.ExitStack() as held:
        for i in range(64):
            held.enter_context(begin(gate, hello, f"127.0.1.{i // 4 + 1}"))
        for _ in range(4):
            client = held.enter_context(pair.connect(gate))
            assert ask(client) == 200
        assert gate.admin("/readyz")[0] == 200
        assert not [line for line in gate.lines if "cannot be reached" in line]


@pytest.mark.workers
def test_from_many_threads(standin, pair, authority):
    with Server(authority) as server, start(standin, pair, server, WORKERS=4) as gate:
        names = []

        def work(protocol):
            for _ in range(10):
                with contextlib.suppress(ssl.SSLError, ConnectionError):
                    with pair.connect(gate, offering(pair, protocol)) as client:
                        names.append(name_of(client))

        threads = [threading.Thread(target=work, args=(protocol,))
                   for protocol in ("acme-tls/1", "acme-tls/1", "http/1.1", "h2")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert names.count("first") == 20 and names.count("challenge") > 0


@pytest.mark.parametrize("value", ["8443", ":8443", "host", "host:0", "http://host:1"])
def test_a_wrong_address_stops_the_start(pair, value):
    ended = run(UPSTREAM_URL="http://127.0.0.1:1", TLS_ALPN_UPSTREAM=value, **pair.settings)
    line, = ended.stderr.splitlines()
    assert ended.returncode == 2 and "RENEWGATE_TLS_ALPN_UPSTREAM" in line and "allowed" in line


def test_it_needs_tls_here():
    ended = run(UPSTREAM_URL="http://127.0.0.1:1", TLS_ALPN_UPSTREAM="127.0.0.1:443")
    line, = ended.stderr.splitlines()
    assert ended.returncode == 2 and "TLS_CERT" in line and "allowed" in line
