"""A client that sends what it is told, over a socket of its own."""

import select
import socket

HEALTH = b"GET /healthz/live HTTP/1.1\r\nHost: mail.test\r\n\r\n"


def connect(gate):
    return socket.create_connection(("127.0.0.1", gate.port), timeout=60)


def has_ended(client):
    """True where the gate has closed, whatever lies unread before that; does not wait."""
    events = select.poll()
    events.register(client, select.POLLRDHUP)
    return bool(events.poll(0))


def wait_for_end(client):
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass


def receive(client):
    """One answer with a Content-Length: its status and its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = client.recv(65536)
        assert piece, received
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                  if line.lower().startswith(b"content-length"))
    while len(body) < length:
        piece = client.recv(65536)
        assert piece, body
        body += piece
    return int(head.split()[1]), body


def ask(client, request=HEALTH):
    """One exchange on a connection that stays; the status."""
    client.sendall(request)
    return receive(client)[0]
