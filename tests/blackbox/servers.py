"""Small servers that tests put beside or between the gate and the stand-in: a thread for each
connection, ended with the `with` that they were started by."""

import contextlib
import http.client
import http.server
import select
import socket
import ssl
import threading


class SocketServer:
    """Speaks whatever serve() does."""

    def __init__(self, host="127.0.0.1", backlog=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.create_server((host, 0), family=family, backlog=backlog)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def serve(self, client):
        """Has a connection and closes it. That it breaks is the test's own business."""
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError), client:
            self.serve(client)


class TlsFront(SocketServer):
    """Ends TLS in front of the port `behind`, as a load balancer does. One thread passes on both
    ways of a connection, as a TLS socket takes no more (tls_socket.py)."""

    def __init__(self, certificate, behind=None):
        self.behind = behind
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        super().__init__()

    def serve(self, client):
        with self.context.wrap_socket(client, server_side=True) as outer, \
                socket.create_connection(("127.0.0.1", self.behind)) as inner:
            while True:
                ready = [outer] if outer.pending() else select.select([outer, inner], [], [])[0]
                for source in ready:
                    piece = source.recv(65536)
                    if not piece:
                        return
                    (inner if source is outer else outer).sendall(piece)


class HttpServer:
    """Answers each request with what answer() returns."""

    def __init__(self, host="127.0.0.1", port=0):
        self.server = http.server.ThreadingHTTPServer((host, port), _Request)
        self.server.answer = self.answer
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, method, target, fields, body):
        """(status, [(name, value), ...], content); None closes the connection."""
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class _Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.server.answer(self.command, self.path, self.headers, body)
        if answer is None:
            self.close_connection = True
            return
        status, fields, content = answer
        self.send_response_only(status)
        for name, value in [*fields, ("Content-Length", str(len(content)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer

    def log_message(self, *_):
        pass


def pass_on(port, method, target, fields, body):
    """What the server at that port answers, with the two fields of it that the gate reads."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as server:
        server.request(method, target, body or None, dict(fields))
        answer = server.getresponse()
        return (answer.status, [(name, answer.headers[name]) for name in ("Content-Type", "Date")
                                if answer.headers[name]], answer.read())
