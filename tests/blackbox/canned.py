"""A server that gives one answer to everything, byte for byte, with TLS where a context is given."""

import socket
import ssl
import threading


class Canned:
    """Use as a context manager; `answer` may be changed at any time."""

    def __init__(self, answer, tls=None, host="127.0.0.1"):
        self.answer = answer
        self.tls = tls
        self.heads = []
        self.names = []  # that TLS clients asked for
        self.socket = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host
                                           else socket.AF_INET)
        self.port = self.socket.getsockname()[1]
        if tls is not None:
            tls.sni_callback = lambda _, name, __: self.names.append(name)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            if self.tls is not None:
                client = self.tls.wrap_socket(client, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(65536)
                if not piece:
                    return
                head += piece
                if head.startswith(b"\x16"):  # a TLS hello, where none is spoken
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                    return
            self.heads.append(head)
            client.sendall(self.answer)
        except (OSError, ssl.SSLError):
            pass  # the test's own business
        finally:
            client.close()


def answer(body, *fields, status="200 OK"):
    """The bytes of an answer after which the connection closes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
