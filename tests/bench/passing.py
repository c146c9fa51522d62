"""What a request costs that only passes, beside nginx and HAProxy and no proxy at all."""

import contextlib
import json
import subprocess
from statistics import median

from programs import BUILD, OTHERS, PROXIES, Failure, Upstream, basic, on_processors

SECTION = "Passing through"
CONNECTIONS = 32
RATE = 1000
BODY_SIZE = 450


def request(port):
    """A JMAP call as a mail client makes it; its body is BODY_SIZE bytes long."""
    calls = [["Email/query", {"accountId": "d333333", "filter": {"inMailbox": "a"}, "limit": 30,
                              "sort": [{"property": "receivedAt", "isAscending": False}]}, "c0"],
             ["Email/get", {"accountId": "d333333", "properties": ["threadId", "subject", "size"],
                            "#ids": {"resultOf": "c0", "name": "Email/query", "path": "/ids"}},
              "c1"]]
    using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
    body = json.dumps({"using": using, "methodCalls": calls}).ljust(BODY_SIZE).encode()
    if len(body) != BODY_SIZE:
        raise Failure("the request has another length than it should have")
    head = (f"POST /jmap/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: bench\r\n"
            f"Accept: application/json\r\nContent-Type: application/json\r\n"
            f"Authorization: {basic()}\r\nContent-Length: {len(body)}\r\n\r\n")
    return head.encode() + body


def load(port, seconds, rate=0):
    """One run of load.c."""
    command = [BUILD / "bench-load", str(port), str(CONNECTIONS), str(seconds), str(rate)]
    with on_processors(OTHERS):
        run = subprocess.run(command, input=request(port), capture_output=True, check=False)
    if run.returncode != 0:
        raise Failure(run.stderr.decode().strip())
    return json.loads(run.stdout)


def measure_turn(program, seconds, rate=0):
    """A run, with the CPU time that the program spent in it."""
    before = program.cpu_seconds()
    run = load(program.port, seconds, rate)
    run["cpu"] = (program.cpu_seconds() - before) / run["requests"] * 1e6
    run |= {"p50": at(run, 0.5), "p99": at(run, 0.99), "rate": run["requests"] / run["seconds"]}
    return run


def at(run, quantile):
    return min((abs(where - quantile), time) for where, time in run["microseconds"])[1]


def take_turns(programs, rounds, seconds, rate=0):
    """{name: [run of round 1, ...]}: all of them in each round, so that what disturbs the machine
    for a while disturbs them alike."""
    for program in programs:
        load(program.port, min(seconds, 1), rate)  # to be warm
    runs = {program.name: [] for program in programs}
    for _ in range(rounds):
        for program in programs:
            runs[program.name].append(measure_turn(program, seconds, rate))
    return runs


def middle(runs, key):
    return median(run[key] for run in runs)


def report_multiples(report, runs, others, prefix=""):
    for other in others:
        ratio = median(one["cpu"] / its["cpu"] for one, its in zip(runs["renewgate"], runs[other]))
        report.add(SECTION, f"{prefix}CPU, as a multiple of {other}'s in the same round",
                   "renewgate", ratio, "×")


def report_flat_out(report, runs):
    for key, measure, unit in (("cpu", "CPU of the proxy for a request", "µs"),
                               ("rate", "requests, 32 connections, as fast as they can", "1/s"),
                               ("p50", "the same: median time", "µs"),
                               ("p99", "the same: 99 % within", "µs")):
        for name, those in runs.items():
            report.add(SECTION, measure, name, middle(those, key), unit)
    report_multiples(report, runs, ("nginx", "HAProxy"))


def report_paced(report, runs):
    paced = f"at {RATE:,} requests a second: "
    for key, measure in (("cpu", "CPU for a request"), ("p50", "median time"),
                         ("p99", "99 % within")):
        for name, those in runs.items():
            report.add(SECTION, paced + measure, name, middle(those, key), "µs")
    report_multiples(report, runs, ("nginx", "HAProxy"), paced)
    for name, those in runs.items():
        if name != Upstream.name:
            added = median(run["p50"] - bare["p50"] for run, bare in zip(those, runs["none"]))
            report.add(SECTION, paced + "added to the median", name, added, "µs")


def plot_latency(report, name, title, runs):
    series = {}
    for subject, those in runs.items():
        curves = [dict(map(tuple, run["microseconds"])) for run in those]
        places = set.intersection(*map(set, curves)) - {1}
        series[subject] = [(1 / (1 - place), median(curve[place] for curve in curves))
                           for place in sorted(places)]
    report.plot(name, title, "quantile", "microseconds", series,
                ["set logscale x", "set logscale y", "set yrange [*:*]",
                 "set xtics ('0' 1, '0.9' 10, '0.99' 100, '0.999' 1000, '0.9999' 10000)"], "lines")


def measure(report, quick):
    rounds, seconds = (2, 1) if quick else (5, 3)
    with contextlib.ExitStack() as stack:
        upstream = Upstream(stack)
        programs = [upstream, *(proxy(stack, upstream.port) for proxy in PROXIES)]
        flat_out = take_turns(programs, rounds, seconds)
        paced = take_turns(programs, rounds, seconds, RATE)
    report_flat_out(report, flat_out)
    report_paced(report, paced)
    plot_latency(report, "latency-1000", "Times at 1,000 requests a second", paced)
    plot_latency(report, "latency-full", "Times with 32 connections, as fast as they can",
                 flat_out)
