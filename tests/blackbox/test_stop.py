"""SIGTERM: no new connections, no idle ones, and time for what is under way."""

import signal
import socket
import threading

import pytest

from gate import Gate, basic
from plain_client import ask, connect, has_ended, wait_for_end

EVENTS = (f"GET /jmap/eventsource/?types=*&closeafter=no&ping=0 HTTP/1.1\r\nHost: mail.test\r\n"
          f"Authorization: {basic('admin')}\r\n\r\n").encode()


def read_until(client, words):
    received = b""
    while words not in received:
        piece = client.recv(65536)
        assert piece, received
        received += piece


def open_events(gate):
    client = connect(gate)
    client.sendall(EVENTS)
    read_until(client, b"\r\n\r\n")
    return client


def tell(standin, word):
    standin.control("POST", "/event", {"event": "state", "data": {"word": word}})


def test_a_stream_goes_on_and_is_broken_off_at_last(standin):
    with Gate(standin.port, DRAIN_TIMEOUT="3s") as gate:
        idle, stream = connect(gate), open_events(gate)
        assert ask(idle) == 200
        gate.process.send_signal(signal.SIGTERM)
        wait_for_end(idle)
        with pytest.raises(ConnectionRefusedError):
            connect(gate)
        tell(standin, "still here")
        read_until(stream, b"still here")
        assert not has_ended(stream)
        wait_for_end(stream)
        assert gate.stop() == 0
        assert any("requests broken off at the stop" in line for line in gate.lines)
        idle.close()
        stream.close()


def test_what_ends_in_time_is_whole_and_ends_the_wait(standin):
    with Gate(standin.port, DRAIN_TIMEOUT="1h") as gate:
        idle, client = connect(gate), connect(gate)
        length = 8 << 20
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall((f"GET /jmap/download/d333333/blob{length}/x HTTP/1.1\r\nHost: mail.test\r\n"
                        f"Authorization: {basic('admin')}\r\n\r\n").encode())
        received = client.recv(1024)
        gate.process.send_signal(signal.SIGTERM)
        wait_for_end(idle)
        while piece := client.recv(1 << 20):
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ") and len(body) == length
        assert gate.stop() == 0
        assert not any("broken off" in line for line in gate.lines)
        idle.close()
        client.close()


def test_the_answer_under_way_is_the_connections_last(standin):
    standin.fault(match="/healthz/live", hang=True, times=1)
    with Gate(standin.port, DRAIN_TIMEOUT="1h", LOG_LEVEL="debug") as gate, \
            connect(gate) as client, connect(gate) as idle:
        client.sendall(b"GET /healthz/live HTTP/1.1\r\nHost: mail.test\r\n\r\n")
        while not any("/healthz/live" in entry["target"] for entry in standin.log()):
            pass
        gate.process.send_signal(signal.SIGTERM)
        wait_for_end(idle)
        standin.control("DELETE", "/faults")
        received = b""
        while piece := client.recv(65536):
            received += piece
        assert b"\r\nConnection: close\r\n" in received
        assert gate.stop() == 0


def test_clients_that_come_while_it_ends(standin):
    """Whenever they come: an answer, or none at all, and always a clean end."""
    for _ in range(5):
        with Gate(standin.port) as gate:
            answered, done = threading.Event(), threading.Event()

            def keep_asking():
                while not done.is_set():
                    try:
                        with connect(gate) as client:
                            ask(client)
                            answered.set()
                    except (OSError, AssertionError):
                        return

            clients = [threading.Thread(target=keep_asking) for _ in range(8)]
            for client in clients:
                client.start()
            assert answered.wait(30)
            assert gate.stop() == 0
            done.set()
            for client in clients:
                client.join(30)
