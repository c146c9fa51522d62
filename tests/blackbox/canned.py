"""A server that gives one answer to everything, byte for byte, with TLS where a context is given."""

from servers import SocketServer


class Canned(SocketServer):
    """Use as a context manager; `answer` may be changed at any time."""

    def __init__(self, answer, tls=None, host="127.0.0.1"):
        self.answer = answer
        self.tls = tls
        self.heads = []
        self.names = []  # that TLS clients asked for
        if tls is not None:
            tls.sni_callback = lambda _, name, __: self.names.append(name)
        super().__init__(host)

    def serve(self, client):
        if self.tls is None:
            self.speak(client)
        else:
            with self.tls.wrap_socket(client, server_side=True) as client:
                self.speak(client)

    def speak(self, client):
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


def answer(body, *fields, status="200 OK"):
    """The bytes of an answer after which the connection closes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
