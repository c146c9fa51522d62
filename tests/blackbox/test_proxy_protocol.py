"""Connections that begin with a PROXY header: whose they are, and which are none."""

import os
import signal
import socket
import struct

import pytest

from certificates import Authority
from gate import Gate
from plain_client import HEALTH, ask, connect, has_ended, receive, wait_for_end
from test_client import told
from test_operator import run
from test_tls import Pair

CLIENT = "192.0.2.7"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LINE = f"PROXY TCP4 {CLIENT} 192.0.2.8 12345 443\r\n".encode()
SETTINGS = {"PROXY_PROTOCOL": "on", "TRUSTED_PROXIES": "127.0.0.1", "HEADER_TIMEOUT": "1h",
            "IDLE_TIMEOUT": "1h"}


def block(command=0x21, family=0x11, addresses=None, extensions=b""):
    if addresses is None:
        addresses = socket.inet_aton(CLIENT) + socket.inet_aton("192.0.2.8") + b"\x30\x39\x01\xbb"
    rest = addresses + extensions
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(rest)) + rest


SIX = socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + b"\x30\x39\x01\xbb"
HEADERS = {
    "line": (LINE, CLIENT),
    "line, IPv6": (b"PROXY TCP6 2001:db8::7 2001:db8::8 12345 443\r\n", "2001:db8::7"),
    "line, unknown": (b"PROXY UNKNOWN and more\r\n", "127.0.0.1"),
    "block": (block(), CLIENT),
    "block, IPv6": (block(family=0x21, addresses=SIX), "2001:db8::7"),
    "block, extensions": (block(extensions=b"\x04\x0b\xb8" + b"." * 3000), CLIENT),
    "block, local": (block(command=0x20), "127.0.0.1"),
    "block, unspecified": (block(family=0, addresses=b""), "127.0.0.1"),
}


def refusals(gate, count):
    """The lines about refused connections, once there are that many."""
    return gate.logged("connection refused", count)


@pytest.mark.parametrize("header, client", HEADERS.values(), ids=HEADERS)
def test_the_client_is_whom_the_header_tells(standin, header, client):
    with Gate(standin.port, **SETTINGS) as gate, connect(gate) as connection:
        assert ask(connection, header + HEALTH) == 200
        assert ask(connection) == 200
    assert told(standin, "X-Forwarded-For") == {client}


def test_a_header_byte_by_byte(standin):
    with Gate(standin.port, **SETTINGS) as gate:
        for header in (LINE, block(extensions=b"\x04\0\x01x")):
            with connect(gate) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in header:
                    connection.sendall(bytes([byte]))
                assert ask(connection) == 200
    assert told(standin, "X-Forwarded-For") == {CLIENT}


def test_not_a_byte_of_the_clients_is_taken(standin):
    """Whatever comes along with the header: more requests, or the first part of one."""
    with Gate(standin.port, **SETTINGS) as gate:
        for header in (LINE, block()):
            with connect(gate) as connection:
                connection.sendall(header + HEALTH * 3)
                assert [receive_one(connection) for _ in range(3)] == [200] * 3
            for cut in range(0, len(HEALTH), 7):
                with connect(gate) as connection:
                    connection.sendall(header + HEALTH[:cut])
                    assert ask(connection, HEALTH[cut:]) == 200
    assert {entry["method"] for entry in standin.log()} == {"GET"}


def receive_one(connection):
    """Of several answers that may come at once."""
    received = b""
    while not received.endswith(b"}"):
        received += connection.recv(1)
    return int(received.split()[1])


@pytest.mark.parametrize("header", [LINE, block()], ids=["line", "block"])
def test_a_header_that_is_cut_off(standin, header):
    with Gate(standin.port, **SETTINGS) as gate:
        for cut in range(1, len(header)):
            with connect(gate) as connection:
                connection.sendall(header[:cut])
                connection.shutdown(socket.SHUT_WR)
                wait_for_end(connection)
        lines = refusals(gate, len(header) - 1)
        assert len(lines) == len(header) - 1
        assert {line["why"] for line in lines} == {"the PROXY header is cut off"}
        with connect(gate) as connection:
            assert ask(connection, LINE + HEALTH) == 200
    assert len(standin.log()) == 1


@pytest.mark.parametrize("sent", [
    HEALTH, b"PROXY TCP4 1.2.3.4\r\n" + HEALTH, b"PROXY UNKNOWN\n" + HEALTH,
    LINE.replace(b"443", b"65536") + HEALTH, b"PROXY " + b"x" * 200, b"\x16\x03\x01\x02\x00",
    block(command=0x22) + HEALTH, block(command=0x11) + HEALTH, block(family=0x41) + HEALTH,
    block(addresses=b"") + HEALTH, block(extensions=b"." * 5000) + HEALTH, os.urandom(300),
], ids=["none", "short", "LF", "port", "endless", "TLS", "command", "version", "family", "empty",
        "long", "noise"])
def test_what_is_no_header_ends_with_one_line(standin, sent):
    with Gate(standin.port, **SETTINGS) as gate:
        with connect(gate) as connection:
            connection.sendall(sent)
            wait_for_end(connection)
        line, = refusals(gate, 1)
        assert line["peer"] == "127.0.0.1" and line["why"] and line["level"] == "warn"
    assert standin.log() == []


def test_who_only_looks_whether_anyone_is_there(standin):
    with Gate(standin.port, **SETTINGS) as gate:
        for _ in range(5):
            connect(gate).close()
        with connect(gate) as connection:
            assert ask(connection, LINE + HEALTH) == 200
        assert not any("refused" in line for line in gate.lines)


def test_nobody_else_may_connect(standin):
    with Gate(standin.port, **{**SETTINGS, "TRUSTED_PROXIES": "192.0.2.0/24"}) as gate:
        for sent in (LINE + HEALTH, HEALTH):
            with connect(gate) as connection:
                try:
                    connection.sendall(sent)
                except OSError:
                    pass  # closed already
                wait_for_end(connection)
        assert {line["why"] for line in refusals(gate, 2)} == {"it comes from no trusted proxy"}
    assert standin.log() == []


def test_a_header_that_does_not_come(standin):
    with Gate(standin.port, **{**SETTINGS, "HEADER_TIMEOUT": "1s"}) as gate:
        silent, slow = connect(gate), connect(gate)
        slow.sendall(LINE[:10])
        wait_for_end(silent)
        wait_for_end(slow)
        assert {line["why"] for line in refusals(gate, 2)} == {"no PROXY header came in time"}
        silent.close()
        slow.close()


def test_the_told_client_is_not_believed_itself(standin):
    fields = b"X-Forwarded-For: 203.0.113.5\r\n\r\n"
    with Gate(standin.port, **SETTINGS) as gate, connect(gate) as connection:
        assert ask(connection, LINE + HEALTH[:-2] + fields) == 200
    assert told(standin, "X-Forwarded-For") == {CLIENT}


def test_a_trusted_proxy_behind_another(standin):
    fields = f"X-Forwarded-For: 203.0.113.5, {CLIENT}\r\n\r\n".encode()
    header = LINE.replace(CLIENT.encode(), b"10.0.0.2")
    settings = {**SETTINGS, "TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8"}
    with Gate(standin.port, **settings) as gate, connect(gate) as connection:
        assert ask(connection, header + HEALTH[:-2] + fields) == 200
    assert told(standin, "X-Forwarded-For") == {f"{CLIENT}, 10.0.0.2"}


def test_under_tls(standin, tmp_path):
    pair = Pair(Authority(tmp_path), tmp_path)
    with Gate(standin.port, **SETTINGS, **pair.settings) as gate:
        for header in (LINE, block()):
            plain = connect(gate)
            plain.sendall(header)
            with pair.context().wrap_socket(plain, server_hostname="localhost") as connection:
                assert ask(connection) == 200
    assert told(standin, "X-Forwarded-For") == {CLIENT}
    assert told(standin, "X-Forwarded-Proto") == {"https"}


def test_no_more_connections_than_allowed(standin):
    settings = {**SETTINGS, "MAX_CONNECTIONS": 64}
    with Gate(standin.port, **settings) as gate:
        for _ in range(3):
            taken = [connect(gate) for _ in range(64)]
            for at, connection in enumerate(taken):
                if at % 2:
                    assert ask(connection, LINE + HEALTH) == 200
                else:
                    connection.sendall(LINE[:5])
            with connect(gate) as waiting:
                waiting.sendall(LINE + HEALTH)
                assert ask(taken[1]) == 200
                assert waiting_is_unanswered(waiting)
                for connection in taken:
                    connection.close()
                assert receive(waiting)[0] == 200


def waiting_is_unanswered(connection):
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
        return False
    except BlockingIOError:
        return True
    finally:
        connection.settimeout(60)


def test_the_stop(standin):
    with Gate(standin.port, **SETTINGS) as gate:
        silent, idle = connect(gate), connect(gate)
        assert ask(idle, LINE + HEALTH) == 200
        silent.sendall(LINE[:5])
        gate.process.send_signal(signal.SIGTERM)
        wait_for_end(silent)
        wait_for_end(idle)
        with pytest.raises(ConnectionRefusedError):
            connect(gate)
        assert has_ended(idle)
        silent.close()
        idle.close()


def test_it_needs_to_be_told_whom_to_trust():
    ended = run(UPSTREAM_URL="http://127.0.0.1:1", PROXY_PROTOCOL="on")
    line, = ended.stderr.splitlines()
    assert ended.returncode == 2 and "RENEWGATE_TRUSTED_PROXIES" in line and "allowed" in line
