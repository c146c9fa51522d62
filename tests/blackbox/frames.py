"""WebSocket frames by hand, so that a test can send what no library would."""

import base64
import hashlib
import json
import os
import socket
import struct
import threading

from standin import basic

MORE, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = base64.b64encode(b"sixteen bytes 16").decode()


def accept_of(key):
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest).decode()


def masked_with(mask, payload):
    repeated = mask * (len(payload) // 4 + 1)
    return (int.from_bytes(payload, "big") ^
            int.from_bytes(repeated[:len(payload)], "big")).to_bytes(len(payload), "big")


def frame(op, payload=b"", final=True, rsv=0, masked=True, length=None):
    """The bytes of one frame; `length` claims another than there is."""
    length = len(payload) if length is None else length
    first = (0x80 if final else 0) | rsv << 4 | op
    bit = 0x80 if masked else 0
    if length < 126:
        head = bytes([first, bit | length])
    elif length < 65536:
        head = bytes([first, bit | 126]) + struct.pack(">H", length)
    else:
        head = bytes([first, bit | 127]) + struct.pack(">Q", length)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + masked_with(mask, payload)


def closing(code, reason=b""):
    return struct.pack(">H", code) + reason


class Frame:
    def __init__(self, op, payload, final, rsv, masked):
        self.op, self.payload, self.final, self.rsv, self.masked = op, payload, final, rsv, masked

    @property
    def code(self):
        assert self.op == CLOSE and len(self.payload) >= 2, self
        return struct.unpack(">H", self.payload[:2])[0]

    def __repr__(self):
        return f"<{self.op} {'final' if self.final else 'more'} {self.payload[:60]!r}>"


class Peer:
    """One end of a WebSocket over a connected socket."""

    def __init__(self, connection, is_client, early=b""):
        self.connection, self.is_client, self.buffer = connection, is_client, early
        connection.settimeout(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def send_bytes(self, data):
        self.connection.sendall(data)

    def send(self, op, payload=b"", **how):
        self.send_bytes(frame(op, payload, **{"masked": self.is_client, **how}))

    def say(self, message):
        self.send(TEXT, json.dumps(message).encode())

    def take(self, count):
        chunks = [self.buffer]
        have = len(self.buffer)
        while have < count:
            chunk = self.connection.recv(1 << 20)
            if not chunk:
                raise EOFError
            chunks.append(chunk)
            have += len(chunk)
        data = b"".join(chunks)
        self.buffer = data[count:]
        return data[:count]

    def frame(self):
        first, second = self.take(2)
        length = second & 0x7f
        if length == 126:
            length, = struct.unpack(">H", self.take(2))
        elif length == 127:
            length, = struct.unpack(">Q", self.take(8))
        masked = bool(second & 0x80)
        mask = self.take(4) if masked else b""
        payload = self.take(length)
        if masked:
            payload = masked_with(mask, payload)
        return Frame(first & 0xf, payload, bool(first & 0x80), first >> 4 & 7, masked)

    def frames(self):
        """All up to the end of the connection."""
        got = []
        try:
            while True:
                got.append(self.frame())
        except (EOFError, ConnectionResetError):
            return got

    def hear(self):
        """The next text message, as JSON; it may not be in pieces."""
        got = self.frame()
        assert got.op == TEXT and got.final, got
        return json.loads(got.payload)

    def ask(self, message):
        self.say(message)
        return self.hear()

    def is_closed(self):
        """Waits for the end of the connection; nothing may come before it."""
        try:
            return self.connection.recv(1) == b""
        except ConnectionResetError:
            return True


def handshake(port, target="/jmap/ws", user="admin", fields=(), tls=None, **replaced):
    """
    Sends a handshake; the connection, the status, the answer's fields and what follows. `tls` is a
    context of a client's that asks for "localhost".
    """
    head = {"Host": "mail.test", "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Protocol": "jmap", "Authorization": basic(user)}
    head.update({name.replace("_", "-"): value for name, value in replaced.items()})
    lines = [f"{name}: {value}" for name, value in head.items() if value is not None]
    lines += [f"{name}: {value}" for name, value in fields]
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    if tls is not None:
        connection = tls.wrap_socket(connection, server_hostname="localhost")
    request = f"GET {target} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n"
    connection.sendall(request.encode())
    return (connection, *read_head(connection))


def read_head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        assert chunk, data
        data += chunk
    head, rest = data.split(b"\r\n\r\n", 1)
    line, *lines = head.decode("latin-1").split("\r\n")
    fields = [tuple(text.split(": ", 1)) for text in lines]
    return line, fields, rest


def connect(port, target="/jmap/ws", **how):
    connection, line, fields, rest = handshake(port, target, **how)
    assert line.split()[1] == "101", line
    peer = Peer(connection, True, rest)
    peer.answer = dict((name.lower(), value) for name, value in fields)
    return peer


class Server:
    """Upgrades whoever comes, and gives the open socket to `serve`; or answers with `refusal`."""

    def __init__(self, serve, refusal=None, fields=(), tls=None):
        self.serve, self.refusal, self.fields, self.tls = serve, refusal, list(fields), tls
        self.requests = []
        self.failures = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = []
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in [self.accepting, *self.threads]:
            thread.join(30)
            assert not thread.is_alive() or kind
        assert kind or not self.failures, self.failures

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _answer(self, connection):
        try:
            connection.settimeout(30)
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                line, fields, rest = read_head(connection)
                self.requests.append((line, fields))
                if self.refusal is not None:
                    connection.sendall(self.refusal)
                    while connection.recv(65536):
                        pass
                    return
                key = dict(fields).get("Sec-WebSocket-Key", "")
                answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket",
                          "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept_of(key)}",
                          *(f"{name}: {value}" for name, value in self.fields)]
                connection.sendall(("\r\n".join(answer) + "\r\n\r\n").encode())
                self.serve(Peer(connection, False, rest))
        except (ConnectionResetError, BrokenPipeError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(repr(error))


def echo(peer):
    """Sends every frame back as it came, pings as pongs, until a Close."""
    while True:
        try:
            got = peer.frame()
        except EOFError:
            return
        op = PONG if got.op == PING else got.op
        peer.send(op, got.payload, final=got.final, rsv=got.rsv)
        if got.op == CLOSE:
            return
