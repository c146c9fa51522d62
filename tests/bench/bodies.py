"""What large bodies and a long stream of small events cost, beside nginx and HAProxy."""

import contextlib
import socket
import time
from statistics import median

from programs import PROXIES, Failure, Upstream

SECTION = "Large bodies and event streams"
BLOCK = bytes(1 << 18)
GIB = 1 << 30
MIB = 1 << 20
#: Between two events: each is on its way before the next comes.
GAP_NANOSECONDS = 50_000


def connect(port):
    return contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=60))


def head(method, target, port, size=None):
    length = "" if size is None else f"Content-Length: {size}\r\n"
    return (f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{length}"
            "Connection: close\r\n\r\n").encode()


def receive_all(connection):
    """Reads to the end; how many bytes, and the first of them."""
    into = bytearray(len(BLOCK))
    size = connection.recv_into(into)
    first = bytes(into[:size])
    while got := connection.recv_into(into):
        size += got
    if not first.startswith(b"HTTP/1.1 200 "):
        raise Failure(f"not the answer that was expected: {first[:80]}")
    return size


def upload(port, size):
    with connect(port) as connection:
        connection.sendall(head("POST", "/upload", port, size))
        for _ in range(size // len(BLOCK)):
            connection.sendall(BLOCK)
        receive_all(connection)


def download(port, size):
    with connect(port) as connection:
        connection.sendall(head("GET", f"/bytes/{size}", port))
        if receive_all(connection) < size:
            raise Failure("a download ended early")


def read_events(port, count):
    with connect(port) as connection:
        connection.sendall(head("GET", f"/events/{count}/{GAP_NANOSECONDS}", port))
        events, last = 0, b""
        while got := connection.recv(1 << 16):
            events += (last + got).count(b"\n\n")
            last = got[-1:]  # an event's end may be cut in two
        if events != count:
            raise Failure(f"{events} events came instead of {count}")


def turns(proxies, rounds, exchange, amount):
    """{name: (CPU seconds, seconds)}, the medians of rounds in which each has its turn."""
    spent = {proxy.name: [] for proxy in proxies}
    for _ in range(rounds):
        for proxy in proxies:
            cpu, began = proxy.cpu_seconds(), time.monotonic()
            exchange(proxy.port, amount)
            spent[proxy.name].append((proxy.cpu_seconds() - cpu, time.monotonic() - began))
    return {name: tuple(map(median, zip(*those))) for name, those in spent.items()}


def report_transfer(report, words, size, spent):
    for name, (cpu, seconds) in spent.items():
        report.add(SECTION, f"{words}: bytes for a CPU second", name, size / cpu / GIB, "GiB")
        report.add(SECTION, f"{words}: speed", name, size / seconds / MIB, "MiB/s")
    ratio = spent["nginx"][0] / spent["renewgate"][0]
    report.add(SECTION, f"{words}: bytes for a CPU second, as a multiple of nginx's", "renewgate",
               ratio, "×")


def report_events(report, count, spent):
    for name, (cpu, _) in spent.items():
        report.add(SECTION, f"{count:,} events, 20,000 a second: CPU for one", name,
                   cpu / count * 1e6, "µs")
    report.add(SECTION, "the same, as a multiple of nginx's", "renewgate",
               spent["renewgate"][0] / spent["nginx"][0], "×")


def measure(report, quick):
    rounds, size, events = (1, 64 * MIB, 10_000) if quick else (3, GIB, 100_000)
    with contextlib.ExitStack() as stack:
        upstream = Upstream(stack)
        proxies = [proxy(stack, upstream.port) for proxy in PROXIES]
        for exchange in (upload, download):
            spent = turns(proxies, rounds, exchange, size)
            report_transfer(report, f"{size // MIB:,} MiB {exchange.__name__}", size, spent)
        report_events(report, events, turns(proxies, rounds, read_events, events))
