"""Files that run out: clients wait, and the gate's own business goes on."""

import contextlib
import json
import resource
import socket

import pytest

from frames import connect as open_websocket
from gate import Gate
from plain_client import HEALTH, ask, receive
from standin import Standin
from wire import Upstream

LIMIT = 64
CLIENTS = 100


@contextlib.contextmanager
def few_files(port, **settings):
    with Gate(port, wrapper=["prlimit", f"--nofile={LIMIT}:{LIMIT}"], **settings) as gate:
        yield gate


def clients_of(gate, count=CLIENTS):
    stack = contextlib.ExitStack()
    return stack, [stack.enter_context(
        contextlib.closing(socket.create_connection(("127.0.0.1", gate.port), 60)))
        for _ in range(count)]


@pytest.fixture
def standin():
    with Standin("v0.16.18") as server:
        yield server


@pytest.mark.parametrize("settings", [
    {"WORKERS": 1}, {"WORKERS": 4},
    {"WORKERS": 1, "PROXY_PROTOCOL": "on", "TRUSTED_PROXIES": "127.0.0.1"}], ids=str)
def test_idle_clients_take_no_file_that_others_need(standin, settings):
    greeting = b"PROXY UNKNOWN\r\n" if "PROXY_PROTOCOL" in settings else b""
    with few_files(standin.port, **settings) as gate:
        stack, clients = clients_of(gate)
        with stack:
            for client in clients:
                client.sendall(greeting)
            for _ in range(3):
                assert gate.admin("/healthz")[0] == gate.admin("/readyz")[0] == 200
            # One after another is served; who has been goes, and the next comes in.
            for client in clients:
                client.sendall(HEALTH)
            for client in clients:
                assert receive(client)[0] == 200
                client.close()
        told, = gate.logged("fewer open files")
        assert told["allowed"] == LIMIT and 0 < told["connections"] < LIMIT / 2


def test_as_many_requests_as_clients_are_let_in_reach_the_server():
    with Upstream() as server:
        with few_files(server.port, WORKERS=1) as gate:
            connections = gate.logged("fewer open files")[0]["connections"]
            arrived = []

            def wait(line, request):
                arrived.append(request)
                server.wait(lambda _: len(arrived) >= connections)
                line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

            server.answer = wait
            stack, clients = clients_of(gate, connections)
            with stack:
                for client in clients:
                    client.sendall(HEALTH)
                assert {receive(client)[0] for client in clients} == {200}
                assert gate.admin("/healthz")[0] == 200


def test_websockets_have_a_share_of_their_own(standin):
    with few_files(standin.port, WORKERS=1) as gate:
        with contextlib.ExitStack() as stack:
            opened = 0
            with contextlib.suppress(AssertionError, ConnectionError):
                for _ in range(LIMIT):
                    stack.enter_context(open_websocket(gate.port))
                    opened += 1
            assert 0 < opened < LIMIT / 4
            with socket.create_connection(("127.0.0.1", gate.port), 60) as client:
                assert ask(client) == 200
            assert gate.admin("/readyz")[0] == 200


def test_the_limit_is_raised_as_far_as_it_may_be(standin):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with Gate(standin.port, wrapper=["prlimit", "--nofile=64:"], MAX_CONNECTIONS=64) as gate:
        assert not [line for line in gate.lines if "fewer open files" in line]
        metrics = gate.admin("/metrics")[1]
        allowed = float(metrics.split("\nprocess_max_fds ")[1].split("\n")[0])
        assert 64 < allowed <= hard
    assert json.loads(gate.lines[-1])["message"] == "stopped"
