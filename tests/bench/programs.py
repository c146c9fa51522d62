"""The programs that are measured and what they need: each on loopback, on a port of its own, with
its files in a temporary folder, and ended with the stack that it was started on."""

import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("RENEWGATE_BUILD", "build/release")
os.environ.setdefault("RENEWGATE_BUILD", str(BUILD))
sys.path.insert(0, str(ROOT / "tests" / "blackbox"))

from certificates import Authority  # noqa: E402
from standin import Standin, basic  # noqa: E402

_PROCESSORS = sorted(os.sched_getaffinity(0))
#: What is measured has the last processor for itself; all else shares the others.
MEASURED = {_PROCESSORS[-1]}
OTHERS = set(_PROCESSORS[:-1]) or MEASURED

_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """Why a measurement cannot be made, in words."""


@contextlib.contextmanager
def on_processors(processors):
    """What is started meanwhile runs on these."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port):
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.01)
    raise Failure(f"nobody listens on port {port}")


class Program:
    """A process that is measured: its CPU time and its memory."""

    def __init__(self, stack, command, processors=MEASURED, **options):
        self.began = time.monotonic()
        with on_processors(processors):
            self.process = subprocess.Popen([str(word) for word in command],
                                            stdin=subprocess.DEVNULL, **options)
        self.pid = self.process.pid
        stack.callback(self.stop)
        clock = ctypes.c_int()
        if _libc.clock_getcpuclockid(self.pid, ctypes.byref(clock)) != 0:
            raise Failure(f"no CPU clock for {command[0]}")
        self._clock = clock.value

    def cpu_seconds(self):
        """User and system time of all its threads, those that have ended included."""
        return time.clock_gettime(self._clock)

    def resident(self):
        """Its resident memory in bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise Failure("a measured program has ended")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


class Upstream(Program):
    """The static server of upstream.c. As something to be measured: no proxy at all."""

    name = "none"

    def __init__(self, stack):
        super().__init__(stack, [BUILD / "bench-upstream"], OTHERS, stdout=subprocess.PIPE,
                         text=True)
        self.port = int(self.process.stdout.readline().split()[1])


class Gate(Program):
    name = "renewgate"

    def __init__(self, stack, upstream_port, certificate=None, tls=None,
                 binary=BUILD / "renewgate", **settings):
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith("RENEWGATE_")}
        scheme = "http"
        if tls == "to the client":
            settings |= {"TLS_CERT": certificate.chain, "TLS_KEY": certificate.key}
        elif tls == "to the server":
            scheme = "https"
            settings |= {"UPSTREAM_CA": certificate.authority}
        environment |= {"RENEWGATE_UPSTREAM_URL": f"{scheme}://127.0.0.1:{upstream_port}",
                        "RENEWGATE_LISTEN": "127.0.0.1:0", "RENEWGATE_WORKERS": "1",
                        "RENEWGATE_ADMIN_LISTEN": "127.0.0.1:0"}
        environment |= {"RENEWGATE_" + key: str(value) for key, value in settings.items()}
        super().__init__(stack, [binary], env=environment, stderr=subprocess.PIPE)
        ready = self._wait_until_ready()
        self.ready_after = time.monotonic() - self.began
        self.port, self.admin_port = (int(ready[key].rsplit(":", 1)[1])
                                      for key in ("listen", "admin_listen"))
        # Its log is read, as somebody does in earnest, and dropped.
        threading.Thread(target=self._drain, daemon=True).start()

    def _wait_until_ready(self):
        said = []
        for line in iter(self.process.stderr.readline, b""):
            said.append(line.decode())
            if b'"admin_listen"' in line:
                return json.loads(line)
        raise Failure("the gate did not start:\n" + "".join(said))

    def _drain(self):
        with contextlib.suppress(ValueError, OSError):
            while os.read(self.process.stderr.fileno(), 65536):
                pass


NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 1000000000; client_max_body_size 0;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream server {{
        server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000;
    }}
    ssl_certificate {certificate.chain}; ssl_certificate_key {certificate.key};
    proxy_ssl_verify on; proxy_ssl_trusted_certificate {certificate.authority};
    proxy_ssl_name localhost; proxy_ssl_server_name on;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_max_temp_file_size 0;
    server {{
        listen 127.0.0.1:{port} {listen};
        location / {{ proxy_pass {scheme}://server; proxy_request_buffering off; }}
        location /jmap/ {{ proxy_pass {scheme}://server; }}
        location /events/ {{ proxy_pass {scheme}://server; proxy_buffering off; }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout connect 5s
    timeout client 5m
    timeout server 5m
    http-reuse always
frontend clients
    bind 127.0.0.1:{port} {bind}
    option http-buffer-request
    option forwardfor
    acl held req.body -m sub AcmeRenewal
    http-request deny if held
    default_backend server
backend server
    server server 127.0.0.1:{upstream} pool-max-conn 256 {server}
"""

#: Adds TLS to what passes, or takes it off: the load and the upstream know none.
TLS_ADAPTER = """
global
    nbthread 1
    maxconn 8192
defaults
    mode tcp
    timeout connect 5s
    timeout client 5m
    timeout server 5m
listen adapter
    bind 127.0.0.1:{port} {bind}
    server server 127.0.0.1:{upstream} {server}
"""


class Certificate:
    """For this machine, and the authority that has signed it: PEM files."""

    def __init__(self, stack):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="renewgate-bench-")))
        authority = Authority(folder)
        self.chain, self.key = authority.issue("localhost", "DNS:localhost", "IP:127.0.0.1")
        self.authority = authority.certificate
        #: As HAProxy wants it.
        self.both = folder / "both.pem"
        self.both.write_bytes(self.chain.read_bytes() + self.key.read_bytes())


class Configured(Program):
    """A proxy with a configuration file. `tls` is None, "to the client" or "to the server"."""

    name = program = template = None

    def __init__(self, stack, upstream_port, certificate=None, tls=None, processors=MEASURED):
        if not shutil.which(self.program, path=os.environ["PATH"] + ":/usr/sbin"):
            raise Failure(f"{self.program} is not installed: deploy/install-dependencies.sh bench")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="renewgate-bench-")))
        self.port = free_port()
        configuration = folder / "configuration"
        configuration.write_text(self.template.format(
            folder=folder, port=self.port, upstream=upstream_port,
            **self.words(certificate or Certificate(stack), tls)))
        super().__init__(stack, self.command(folder, configuration), processors)
        wait_for_port(self.port)

    def words(self, certificate, tls):
        raise NotImplementedError

    def command(self, folder, configuration):
        raise NotImplementedError


class Nginx(Configured):
    name, program, template = "nginx", "nginx", NGINX

    def words(self, certificate, tls):
        return {"certificate": certificate, "listen": "ssl" if tls == "to the client" else "",
                "scheme": "https" if tls == "to the server" else "http"}

    def command(self, folder, configuration):
        return ["/usr/sbin/nginx", "-p", folder, "-e", "stderr", "-c", configuration]


class Haproxy(Configured):
    name, program, template = "HAProxy", "haproxy", HAPROXY

    def words(self, certificate, tls):
        verified = f"ssl verify required ca-file {certificate.authority} sni str(localhost)"
        return {"bind": f"ssl crt {certificate.both}" if tls == "to the client" else "",
                "server": verified if tls == "to the server" else ""}

    def command(self, folder, configuration):
        return ["/usr/sbin/haproxy", "-db", "-f", configuration]


class TlsAdapter(Haproxy):
    """Not measured: between the load and a proxy with TLS, or between one and the upstream."""

    template = TLS_ADAPTER

    def __init__(self, stack, upstream_port, certificate, tls):
        super().__init__(stack, upstream_port, certificate, tls, OTHERS)


PROXIES = (Nginx, Haproxy, Gate)


def start_standin(stack, version="v0.16.18"):
    """The stand-in for the mail server, beside what is measured."""
    with on_processors(OTHERS):
        return stack.enter_context(Standin(version))
