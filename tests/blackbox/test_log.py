"""The log, where whoever should read it does not: standard error full, gone, or closed from the start."""

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from plain_client import ask, connect
from standin import SANITIZERS, binary
from waiting import wait_until

REQUESTS = 3000  # at debug level each is a line; more than a pipe and the queue hold
PATH = "/x" * 120
WRITE_MAX = 4096  # what a pipe takes whole


class Gate:
    """A gate whose standard error is what a test makes it."""

    def __init__(self, upstream_port, stderr, shell=None, **settings):
        with socket.create_server(("127.0.0.1", 0)) as one, \
                socket.create_server(("127.0.0.1", 0)) as two:
            self.port, self.admin_port = one.getsockname()[1], two.getsockname()[1]
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith("RENEWGATE_")}
        environment |= {"RENEWGATE_UPSTREAM_URL": f"http://127.0.0.1:{upstream_port}",
                        "RENEWGATE_LISTEN": f"127.0.0.1:{self.port}", "RENEWGATE_WORKERS": "1",
                        "RENEWGATE_ADMIN_LISTEN": f"127.0.0.1:{self.admin_port}",
                        "RENEWGATE_LOG_LEVEL": "debug", **SANITIZERS}
        environment |= {"RENEWGATE_" + key: str(value) for key, value in settings.items()}
        words = [binary("renewgate")] if shell is None else \
            ["sh", "-c", f"exec {binary('renewgate')} {shell}"]
        self.process = subprocess.Popen(words, env=environment, stderr=stderr)
        wait_until(self._listens)

    def _listens(self):
        assert self.process.poll() is None
        with contextlib.suppress(ConnectionRefusedError):
            connect(self).close()
            return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def requests(self, count):
        request = f"GET {PATH} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        with connect(self) as client:
            for _ in range(count):
                assert ask(client, request) == 404

    def metric(self, name):
        with socket.create_connection(("127.0.0.1", self.admin_port), 30) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
        return float(re.search(rf"^{name} (.*)$", text, re.M)[1])

    def wait_for_lost(self, count):
        wait_until(lambda: self.metric("renewgate_log_lines_lost_total") >= count)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def pipe():
    """A pipe to be standard error: its ends, [reading, writing]."""
    ends = list(os.pipe())
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def start(standin, pipe, **settings):
    return Gate(standin.port, pipe[1], **settings)


def read_all(pipe):
    """The lines up to the end, once nobody writes any more."""
    os.close(pipe[1])
    with open(pipe[0], "rb", closefd=False) as file:
        return [json.loads(line) for line in file.read().splitlines()]


def test_a_reader_that_stops_stops_nothing(standin, pipe):
    with start(standin, pipe) as gate:
        gate.requests(REQUESTS)
        lost = gate.metric("renewgate_log_lines_lost_total")
        assert 0 < lost < REQUESTS
        flags = fcntl.fcntl(pipe[1], fcntl.F_GETFL)
        assert not flags & os.O_NONBLOCK, "the pipe is others' as well"

        with open(pipe[0], "rb", closefd=False, buffering=0) as file:
            text = b""
            while b'"lines":' not in text:
                text += file.read(65536)
        gate.requests(2)
        assert gate.stop() == 0
        lines = [json.loads(line) for line in text.splitlines()] + read_all(pipe)
    exchanges = sum(line["message"] == "exchange" for line in lines)
    told, = [line["lines"] for line in lines if line["message"] == "log lines are missing here"]
    assert told == lost and exchanges + lost == REQUESTS + 2
    # A client has its answer before the line about it is written: the stop may come between.
    assert sorted(line["message"] for line in lines[-4:-1]) == ["exchange"] * 2 + ["stopping"]
    assert lines[-1]["message"] == "stopped"


def test_lines_that_wait_are_written_together(standin):
    """As many whole ones as a pipe takes whole, which keeps writes apart here."""
    ends = list(os.pipe2(os.O_DIRECT))
    with open(ends[0], "rb", buffering=0) as reading, start(standin, ends) as gate:
        os.close(ends[1])
        gate.requests(REQUESTS)
        gate.process.send_signal(signal.SIGTERM)
        writes = list(iter(lambda: reading.read(1 << 20), b""))
        assert gate.process.wait(30) == 0
    assert all(write.endswith(b"\n") and len(write) <= WRITE_MAX for write in writes)
    lines = sum(write.count(b"\n") for write in writes)
    assert len(writes) < lines / 2, "most of them had to wait"


@pytest.mark.parametrize("log_format", ["json", "logfmt"])
def test_it_stops_with_a_full_pipe(standin, pipe, log_format):
    with start(standin, pipe, LOG_FORMAT=log_format) as gate:
        gate.requests(REQUESTS)
        assert gate.stop() == 0
    os.close(pipe[1])
    with open(pipe[0], "rb", closefd=False) as file:
        lines = file.read().splitlines()
    begin = b"{" if log_format == "json" else b"time="
    assert lines and all(line.startswith(begin) for line in lines), "only whole lines"


def test_a_reader_that_is_gone_stops_nothing(standin, pipe):
    with start(standin, pipe) as gate:
        os.close(pipe[0])
        gate.requests(50)
        gate.wait_for_lost(50)
        assert gate.stop() == 0


def test_a_full_disk_stops_nothing(standin):
    with open("/dev/full", "wb") as full, Gate(standin.port, full) as gate:
        gate.requests(50)
        gate.wait_for_lost(50)
        assert gate.stop() == 0


def test_what_is_queued_is_written_at_the_stop(standin, pipe):
    """A slow reader gets all, in order."""
    with start(standin, pipe) as gate:
        fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 4096)
        gate.requests(100)
        gate.process.send_signal(signal.SIGTERM)
        os.close(pipe[1])
        with open(pipe[0], "rb", closefd=False) as file:
            lines = [json.loads(line) for line in file.read().splitlines()]
        assert gate.process.wait(30) == 0
    assert sum(line["message"] == "exchange" for line in lines) == 100
    assert lines[-1]["message"] == "stopped"


def test_what_is_queued_is_written_at_a_crash(standin, pipe):
    with start(standin, pipe) as gate:
        fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 4096)
        gate.requests(100)
        gate.process.send_signal(signal.SIGSTOP)
        fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 1 << 20)
        gate.process.send_signal(signal.SIGABRT)
        gate.process.send_signal(signal.SIGCONT)
        assert gate.process.wait(30) == -signal.SIGABRT
    lines = read_all(pipe)
    # The last exchange may not have ended by the stop, and the lines being written come twice.
    exchanges = [line["request"] for line in lines if line["message"] == "exchange"]
    again = [line for line in exchanges if exchanges.count(line) > 1]
    assert len(set(exchanges)) >= 99 and len(again) <= 2 * WRITE_MAX // len(PATH)


# Standard files that are not there.

@pytest.mark.parametrize("closed", ["2>&-", "0<&-", "1>&-", "0<&- 1>&- 2>&-"])
def test_no_connection_becomes_a_standard_file(standin, closed):
    with Gate(standin.port, None, shell=closed) as gate:
        with connect(gate) as client:
            assert ask(client) == 200
            client.sendall(f"GET {PATH} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
            text = b"".join(iter(lambda: client.recv(65536), b""))
        assert text.count(b"HTTP/1.1 ") == 1 and b"exchange" not in text
        for name in re.findall(r"\d", closed):
            if closed.startswith(name) or f" {name}" in closed:
                assert os.readlink(f"/proc/{gate.process.pid}/fd/{name}") == "/dev/null"
        assert gate.stop() == 0
