"""Lock servers for tests: a real Redis, and one that does what the test says."""

import contextlib
import os
import shutil
import socket
import socketserver
import subprocess
import threading
import time

# Debian's redis-tools has the server too, under the name of a checker, and starts no service.
SERVERS = ("redis-server", "valkey-server", "/usr/bin/redis-check-rdb")
SERVER = os.environ.get("RENEWGATE_LOCK_SERVER") or next(filter(shutil.which, SERVERS))


def encode(*words):
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def read_reply(stream):
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the lock server closed the connection")
    kind, rest = line[:1], line[1:-2]
    if kind == b"$":
        return None if rest == b"-1" else stream.read(int(rest) + 2)[:-2].decode()
    if kind == b"*":
        return [read_reply(stream) for _ in range(int(rest))]
    return int(rest) if kind == b":" else rest.decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Redis:
    """A real server on a port of its own, which it keeps when it is started again."""

    def __init__(self, *options, password=None, port_option="--port"):
        self.port = free_port()
        self.options = options
        self.password = password
        self.port_option = port_option
        self.process = None
        self.start()

    def start(self):
        plain = [] if self.port_option == "--port" else ["--port", "0"]
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *plain,
             self.port_option, str(self.port), *self.options],
            executable=shutil.which(SERVER), stdout=subprocess.DEVNULL)
        while True:
            assert self.process.poll() is None, "the lock server did not start"
            with contextlib.suppress(ConnectionError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            time.sleep(0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def say(self, *words):
        """The reply to one command."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            stream = connection.makefile("rb")
            if self.password:
                connection.sendall(encode("AUTH", self.password))
                read_reply(stream)
            connection.sendall(encode(*words))
            return read_reply(stream)


class FakeLockServer(socketserver.ThreadingTCPServer):
    """Answers each command with answer(words): bytes, or None to say nothing any more."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, answer):
        self.answer = answer
        super().__init__(("127.0.0.1", 0), FakeLockServer.Conversation)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Conversation(socketserver.StreamRequestHandler):
        def handle(self):
            with contextlib.suppress(ConnectionError, ValueError):
                while True:
                    answer = self.server.answer(read_reply(self.rfile))
                    if answer is None:
                        self.rfile.read()
                        return
                    self.wfile.write(answer)

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.server_address[1]}"


def good(words):
    """What a server without other clients says."""
    if words[0] != "EVAL":
        return b"+OK\r\n"
    return b"$0\r\n\r\n" if "'NX'" in words[1] else b":1\r\n"
