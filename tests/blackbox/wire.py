"""HTTP/1.1 to the byte: a server that keeps what it saw and answers what it is told, and a client.

Both speak over raw sockets, so that nothing between a test and the gate tidies anything up.
"""

import contextlib
import dataclasses
import socket
import threading

import pytest

from gate import Gate
from waiting import PATIENCE


@dataclasses.dataclass
class Message:
    """A request or an answer as it came."""

    start: bytes
    fields: list  # of (name, value)
    body: bytes = b""
    whole: bool = True  # its end was seen
    closed: bool = False  # the connection ended behind it

    @property
    def method(self):
        return self.start.split(b" ", 1)[0]

    @property
    def target(self):
        return self.start.split(b" ", 1)[1].rsplit(b" ", 1)[0]

    @property
    def status(self):
        return int(self.start.split(b" ")[1])

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def value(self, name):
        values = self.values(name)
        return values[0] if values else None


class Line:
    """One end of a connection, read piece by piece."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(PATIENCE)
        self.bytes = b""
        self.ended = None  # once it has: how

    def more(self):
        """Waits for more bytes; False at the end of the connection."""
        try:
            piece = self.socket.recv(65536)
        except ConnectionError as error:
            self.ended = repr(error)
            return False
        if not piece:
            self.ended = "closed"
        self.bytes += piece
        return bool(piece)

    def take(self, count):
        taken, self.bytes = self.bytes[:count], self.bytes[count:]
        return taken

    def until(self, mark):
        """All up to the mark and with it; None where the connection ends before."""
        while mark not in self.bytes:
            if not self.more():
                return None
        return self.take(self.bytes.index(mark) + len(mark))

    def exactly(self, count):
        """That many bytes, or fewer where the connection ends before."""
        while len(self.bytes) < count and self.more():
            pass
        return self.take(count)

    def rest(self):
        while self.more():
            pass
        return self.take(len(self.bytes))

    def send(self, data):
        self.socket.sendall(data)

    def close(self):
        self.socket.close()


def read_head(line):
    """A start line with its fields, or None at the end of the connection."""
    head = line.until(b"\r\n\r\n")
    if head is None:
        return None
    start, *rest = head[:-4].split(b"\r\n")
    fields = []
    for text in rest:
        name, _, value = text.partition(b":")
        fields.append((name, value.strip(b" \t")))
    return Message(start, fields)


def read_chunks(line):
    """The content of a chunked body, and whether its end was seen."""
    content = b""
    while True:
        size = line.until(b"\r\n")
        if size is None:
            return content, False
        size = int(size.split(b";")[0], 16)
        if size == 0:
            while (trailer := line.until(b"\r\n")) not in (b"\r\n", None):
                pass
            return content, trailer is not None
        piece = line.exactly(size + 2)
        content += piece[:size]
        if len(piece) < size + 2:
            return content, False


def read_body(line, request):
    if b"chunked" in (request.value(b"Transfer-Encoding") or b"").lower():
        request.body, request.whole = read_chunks(line)
    elif request.value(b"Content-Length"):
        length = int(request.value(b"Content-Length"))
        request.body = line.exactly(length)
        request.whole = len(request.body) == length


def read_answer(line, method=b"GET"):
    """The next answer, interim ones too; None where the connection ends instead."""
    answer = read_head(line)
    if answer is None:
        return None
    if answer.status < 200 or answer.status in (204, 304) or method == b"HEAD":
        return answer
    if b"chunked" in (answer.value(b"Transfer-Encoding") or b"").lower():
        answer.body, answer.whole = read_chunks(line)
    elif answer.value(b"Content-Length") is not None:
        length = int(answer.value(b"Content-Length"))
        answer.body = line.exactly(length)
        answer.whole = len(answer.body) == length
    else:
        answer.body = line.rest()
    return answer


class Upstream:
    """A server that records requests. `answer` is bytes, or a function of (line, request) that
    answers by itself and returns False to end the connection; None answers an empty 200. With TLS
    where a context is given."""

    def __init__(self, answer=None, tls=None):
        self.answer, self.tls = answer, tls
        self.requests = []
        self.connections = 0
        self.lines = []  # the connections that are open
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.changed = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            line = Line(connection)
            with self.changed:
                self.connections += 1
                self.lines.append(line)
                self.changed.notify_all()
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line):
        with contextlib.suppress(OSError):
            if self.tls is not None:
                line.socket = self.tls.wrap_socket(line.socket, server_side=True)
            while self._serve_one(line):
                pass
        with self.changed:
            self.lines.remove(line)
            self.changed.notify_all()
        line.close()

    def _serve_one(self, line):
        request = read_head(line)
        if request is None:
            return False
        answer = self.answer
        if not getattr(answer, "takes_body", False):
            read_body(line, request)
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
        if callable(answer):
            return answer(line, request) is not False
        line.send(answer or b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True

    def wait(self, condition):
        """Waits until the condition of (self) holds."""
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), PATIENCE), self.requests

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for line in list(self.lines):
            with contextlib.suppress(OSError):
                line.socket.shutdown(socket.SHUT_RDWR)


def takes_body(function):
    """Marks an answer that is called with a request's head and reads its body by itself."""
    function.takes_body = True
    return function


def connect(port):
    line = Line(socket.create_connection(("127.0.0.1", port), PATIENCE))
    line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def ask(port, request, method=None):
    """One request over a connection of its own: the final answer (None: none)."""
    line = connect(port)
    try:
        with contextlib.suppress(ConnectionError):
            line.send(request)
        return answer_if_any(line, method or request.split(b" ", 1)[0])
    finally:
        line.close()


def answer_if_any(line, method=b"GET"):
    """The final one; None where the connection ends before it."""
    while True:
        answer = read_answer(line, method)
        if answer is None or answer.status >= 200:
            return answer


def last_answer(line, method=b"GET"):
    answer = answer_if_any(line, method)
    assert answer is not None, f"the connection ends before an answer: {line.ended} {line.bytes[:200]}"
    return answer


@pytest.fixture(scope="module")
def upstream():
    with Upstream() as server:
        yield server


@pytest.fixture(scope="module")
def gate(upstream):
    """One gate before it for all tests of the module that imports this."""
    with Gate(upstream.port) as gate:
        yield gate
