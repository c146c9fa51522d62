"""What the service manager is told: sd_notify(3), over a socket as systemd's."""

import secrets
import signal
import socket
import time

import pytest

from gate import Gate


class Manager:
    """A service manager's socket; use as a context manager."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def next(self):
        """The next message's fields."""
        text = self.socket.recv(4096).decode()
        return dict(line.split("=", 1) for line in text.split("\n"))


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    name = "/renewgate-test-" + secrets.token_hex(8)
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path if request.param == "path" else "@" + name)
    with Manager(path if request.param == "path" else "\0" + name) as manager:
        yield manager


def test_ready_comes_once_clients_can_connect(manager):
    with Gate(1) as gate:
        message = manager.next()
        assert message == {"READY": "1",
                           "STATUS": f"serving clients on 127.0.0.1:{gate.port}"}
        assert gate.request("GET", "/")[0] == 502
        gate.stop()
    assert manager.next() == {"STOPPING": "1"}


def test_a_reload_is_told_from_its_begin_to_its_end(manager):
    with Gate(1) as gate:
        manager.next()
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        gate.process.send_signal(signal.SIGHUP)
        begun, ended = manager.next(), manager.next()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert begun["RELOADING"] == "1" and before <= int(begun["MONOTONIC_USEC"]) <= after
    assert ended["READY"] == "1"


def test_signs_of_life_go_on_longer_than_a_stuck_worker_would_let_them(manager, monkeypatch):
    """A worker's mark is good for three seconds: in that time, there are 30 of these."""
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    with Gate(1, WORKERS=3):
        assert "READY" in manager.next()
        assert [manager.next() for _ in range(40)] == [{"WATCHDOG": "1"}] * 40


@pytest.mark.parametrize("variables", [{}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
                                       {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "-5"}])
def test_there_is_no_sign_of_life_where_nobody_waits_for_one(manager, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with Gate(1) as gate:
        assert "READY" in manager.next()
        gate.process.send_signal(signal.SIGHUP)
        assert "RELOADING" in manager.next()
        assert "READY" in manager.next()
        gate.stop()
    assert "STOPPING" in manager.next()


@pytest.mark.parametrize("address", ["", "relative", "@", "/absent/socket", "/" + "x" * 200,
                                     "vsock:2:1234"])
def test_it_runs_where_nobody_listens(monkeypatch, address):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with Gate(1) as gate:
        assert gate.request("GET", "/")[0] == 502
