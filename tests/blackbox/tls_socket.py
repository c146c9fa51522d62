"""TLS sockets that tell of two threads in one.

OpenSSL has one state for both ways, and Python up to 3.12 no lock around it: who reads while another
thread sends is told, now and then, of an end of the connection that never came.
"""

import contextlib
import ssl
import threading


class TlsSocket(ssl.SSLSocket):
    """What all contexts wrap sockets in; SSLSocket's own constructor is none."""

    def __new__(cls, *arguments, **named):
        self = super().__new__(cls, *arguments, **named)
        self.in_use = threading.Lock()
        return self

    @contextlib.contextmanager
    def _alone(self):
        if not self.in_use.acquire(blocking=False):
            raise RuntimeError("two threads use one TLS socket at once")
        try:
            yield
        finally:
            self.in_use.release()

    def read(self, *arguments):
        with self._alone():
            return super().read(*arguments)

    def send(self, *arguments):
        with self._alone():
            return super().send(*arguments)


ssl.SSLContext.sslsocket_class = TlsSocket
