"""What the gate takes up: memory at the start and with idle connections, time to be ready, disk."""

import contextlib
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from bodies import connect, head, receive_all
from programs import BUILD, PROXIES, Gate, Upstream

SECTION = "Footprint"
CONNECTIONS = 1_000
STARTS = 20
MIB = 1 << 20


def open_idle(stack, port):
    """A connection on which one request has been answered."""
    connection = stack.enter_context(
        contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=30)))
    connection.sendall(f"GET /idle HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    connection.recv(65536)


def measure_memory(report):
    with contextlib.ExitStack() as stack:
        upstream = Upstream(stack)
        for start in PROXIES:
            proxy = start(stack, upstream.port)
            before = proxy.resident()
            report.add(SECTION, "memory at the start", proxy.name, before / MIB, "MiB")
            with contextlib.ExitStack() as connections:
                for _ in range(CONNECTIONS):
                    open_idle(connections, proxy.port)
                idle = proxy.resident()
            report.add(SECTION, f"memory with {CONNECTIONS:,} idle connections", proxy.name,
                       idle / MIB, "MiB")
            report.add(SECTION, "for each of these", proxy.name, (idle - before) / CONNECTIONS,
                       "bytes")


def measure_start(report):
    """From exec to the line that says ready, and to the first answer through the gate."""
    ready, answered = [], []
    with contextlib.ExitStack() as stack:
        upstream = Upstream(stack)
        for _ in range(STARTS):
            with contextlib.ExitStack() as each:
                gate = Gate(each, upstream.port)
                with connect(gate.port) as connection:
                    connection.sendall(head("GET", "/first", gate.port))
                    receive_all(connection)
                answered.append(time.monotonic() - gate.began)
                ready.append(gate.ready_after)
    for measure, times in (("start to ready", ready), ("start to first answer", answered)):
        report.add(SECTION, f"{measure}, median of {STARTS}", "renewgate", median(times) * 1e3,
                   "ms")


def libraries(binary):
    """The shared libraries that it loads, without the C library's own."""
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    paths = {Path(line.split("=>")[1].split()[0]).resolve()
             for line in listed.splitlines() if "=> /" in line}
    return [path for path in paths if not path.name.startswith(("libc.so", "libm.so", "ld-"))]


def measure_disk(report):
    binary = BUILD / "renewgate"
    with tempfile.TemporaryDirectory() as folder:
        stripped = shutil.copy(binary, folder)
        subprocess.run(["strip", stripped], check=True)
        report.add(SECTION, "binary, without debugging information", "renewgate",
                   os.path.getsize(stripped) / MIB, "MiB")
    loaded = libraries(binary)
    report.add(SECTION, "shared libraries beside the C library", "renewgate", len(loaded), "")
    report.add(SECTION, "their size", "renewgate",
               sum(path.stat().st_size for path in loaded) / MIB, "MiB")


def measure(report, quick):
    del quick  # it is short
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    measure_memory(report)
    measure_start(report)
    measure_disk(report)
