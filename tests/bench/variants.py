"""What a request costs that only passes where heads may be larger, and where TLS is spoken."""

import contextlib
from statistics import median

from passing import middle, take_turns
from programs import PROXIES, Certificate, Gate, Nginx, TlsAdapter, Upstream

SECTION = "Passing through with larger heads, and with TLS"
HEADS = (16384, 32768, 65536)


class Behind:
    """A program that is reached through another."""

    def __init__(self, program, port):
        self.name, self.port, self.cpu_seconds = program.name, port, program.cpu_seconds


def report_cpu(report, runs, what):
    for name, those in runs.items():
        report.add(SECTION, f"CPU for a request, {what}", name, middle(those, "cpu"), "µs")
    for name, those in runs.items():
        if name != "nginx":
            ratio = median(one["cpu"] / its["cpu"] for one, its in zip(those, runs["nginx"]))
            report.add(SECTION, f"the same, as a multiple of nginx's, {what}", name, ratio, "×")


def measure_heads(report, rounds, seconds):
    with contextlib.ExitStack() as stack:
        upstream = Upstream(stack)
        nginx = Nginx(stack, upstream.port)
        gates = []
        for size in HEADS:
            gate = Gate(stack, upstream.port, MAX_HEAD=size)
            gate.name = f"{size // 1024} KiB"
            gates.append(gate)
        runs = take_turns([nginx, *gates], rounds, seconds)
    report_cpu(report, runs, "by the largest head")


def measure_tls(report, rounds, seconds, tls):
    with contextlib.ExitStack() as stack:
        certificate = Certificate(stack)
        upstream = Upstream(stack)
        port = upstream.port
        if tls == "to the server":
            port = TlsAdapter(stack, port, certificate, "to the client").port
        programs = [start(stack, port, certificate, tls) for start in PROXIES]
        if tls == "to the client":
            programs = [Behind(program, TlsAdapter(stack, program.port, certificate,
                                                   "to the server").port) for program in programs]
        runs = take_turns(programs, rounds, seconds)
    report_cpu(report, runs, f"TLS {tls}")


def measure(report, quick):
    rounds, seconds = (2, 1) if quick else (5, 2)
    measure_heads(report, rounds, seconds)
    measure_tls(report, rounds, seconds, "to the client")
    measure_tls(report, rounds, seconds, "to the server")
