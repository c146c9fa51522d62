"""Drives the gate with a server that answers with all that a server must not.

    make fuzz-server SECONDS=600 SEED=7
    make fuzz-memory ONE_IN=50
    RENEWGATE_BUILD=build/asan tests/fuzz/server/fuzz_server.py --seed 7 --case 1234

Callers of every kind visit the gate, several at a time, each with the answers that its number makes;
sweeps and surveys go on behind them. The gate must live, answer each request or close, tell nobody
what is another's, serve whoever the server is honest to, write whole lines of its log and pages, stay
below a bound in memory, and end in the end without a leak. A run of a single case tells what was
done to it.

With --failing the gate's own allocations fail, one in so many, while callers visit it. Then it need not
answer, but it must live, tell no lies, and serve again once there is memory.
"""

import argparse
import json
import os
import random
import re
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests" / "blackbox")]
os.environ.setdefault("RENEWGATE_BUILD", "build/asan")

import callers  # noqa: E402
from callers import CANARY, DOMAINS, VISITS, Failure, Visit, canary  # noqa: E402
from gate import Gate  # noqa: E402
from hostile_server import Server  # noqa: E402
from standin import Standin, basic, binary  # noqa: E402
from test_collapse import failed  # noqa: E402
from test_gate import DUE, EXPIRED, FRESH, LATER, SOON, certificate, domain, retry, state, task  # noqa: E402

CALLERS = 6
#: Cases for which one gate lives.
ROUND = 250
#: Resident, at most, in MiB, under AddressSanitizer with a quarantine of 16.
MEMORY_LIMIT = 600
SETTINGS = {
    "SERVICE_AUTHORIZATION": basic("service"), "SWEEP_INTERVAL": "1s", "SURVEY_INTERVAL": "1s",
    "SWEEP_RATE": 1000, "IDLE_TIMEOUT": "2s", "LOOKUP_TIMEOUT": "1s", "CONNECT_TIMEOUT": "2s",
    "DRAIN_TIMEOUT": "1s", "BLIND_INTERVAL": "1s", "LOG_LEVEL": "debug", "METRICS_DOMAINS": "on",
    "WORKERS": 2,
}
#: What no page and no line of the log may hold raw: what terminals obey, and what turns text around.
UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def world():
    """A server's state with something of everything."""
    dates = [FRESH, DUE, EXPIRED]
    ids = DOMAINS + [CANARY]
    domains = [domain(id, f"{id}.test") for id in ids]
    certificates = [certificate(dates[i % 3], (f"mail.{id}.test",)) for i, id in enumerate(ids)
                    if i % 4 != 3]
    tasks = [task(LATER, "b", "c"), task(SOON, "c", "d"), task(LATER, "d", "e"),
             task(SOON, "d", "f"), retry(LATER, domain="e", id="g"), retry(LATER, domain="e", id="h"),
             failed("Certificate is not due", id="i")]
    return state(certificates, tasks, domains)


class Run:
    """One gate, its hostile server, and what was found."""

    def __init__(self, seed, failing):
        self.seed, self.failing = seed, failing
        self.failure = None
        self.stopping = threading.Event()
        self.lock = threading.Lock()

    def fail(self, what):
        with self.lock:
            if self.failure is None:
                self.failure = what
        self.stopping.set()

    def one_case(self, number):
        """A visit, now and then a canary behind it."""
        chance = random.Random(f"{self.seed}/{number}/caller")
        malice = chance.choice([0.1, 0.3, 0.3, 0.6, 1.0])
        case = self.server.open_case(number, malice)
        kind = chance.choice(VISITS) if chance.random() < 0.97 else callers.command
        try:
            kind(Visit(self.gate, case, chance))
            if number % 3 == 0 and not self.failing:
                self.send_canary(number)
            if self.gate.process.poll() is not None:
                raise Failure("the gate has ended")
        except Exception as failure:  # pylint: disable=broad-except
            words = str(failure) if isinstance(failure, Failure) else traceback.format_exc()
            self.fail(f"case {number}, {kind.__name__}: {words}\n" +
                      "\n".join(f"    {each}" for each in case.journal[-30:]))


    def send_canary(self, number):
        chance = random.Random(f"{self.seed}/{number}/canary")
        canary(Visit(self.gate, self.server.open_case(f"{number}c", 0), chance))

    def watch_pages(self):
        """The admin address, again and again."""
        while not self.stopping.wait(0.3):
            try:
                self.look_at_pages()
            except Exception:  # pylint: disable=broad-except
                if not self.stopping.is_set():
                    self.fail("the admin address: " + traceback.format_exc())
                return

    def look_at_pages(self):
        for target in ("/healthz", "/readyz", "/status.json", "/", "/metrics"):
            try:
                status, text = self.gate.admin(target)
            except ConnectionError:
                if self.failing:
                    continue
                raise
            if self.failing and status == 500:
                continue
            if status != 200 and not (target == "/readyz" and status == 503):
                raise Failure(f"{target}: {status}")
            if UNSHOWABLE.search(text):
                raise Failure(f"{target} shows {UNSHOWABLE.search(text)}")
            if target == "/status.json":
                json.loads(text)

    def check_log(self):
        for line in self.gate.lines:
            if UNSHOWABLE.search(line):
                raise Failure(f"the log shows {line!r}")
            json.loads(line)

    def memory(self):
        """The most that was resident, in MiB."""
        text = Path(f"/proc/{self.gate.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmHWM:\s+(\d+)", text).group(1)) // 1024

    def round(self, numbers, until):
        """Cases one after another with one gate; how many there were, and its memory."""
        os.environ["ASAN_OPTIONS"] = "quarantine_size_mb=16:allocator_release_to_os_interval_ms=500"
        version = random.Random(f"{self.seed}/{numbers[0]}").choice(["v0.16.5", "v0.16.18"])
        done = 0
        with Standin(version, world()) as standin, Server(standin, self.seed) as self.server:
            if self.failing:
                os.environ["FAILING_MEMORY"] = str(self.failing)
            self.gate = Gate(self.server.port,
                             binary("renewgate-failing" if self.failing else "renewgate"), **SETTINGS)
            self.toggle_memory()
            self.gate.environment = {
                "RENEWGATE_" + name: str(value) for name, value in SETTINGS.items()
                if name not in ("WORKERS", "LOG_LEVEL")}
            self.gate.environment["RENEWGATE_UPSTREAM_URL"] = f"http://127.0.0.1:{self.server.port}"
            waiting = iter(numbers)

            def work():
                nonlocal done
                while not self.stopping.is_set() and time.monotonic() < until:
                    with self.lock:
                        number = next(waiting, None)
                        done += number is not None
                    if number is None:
                        return
                    self.one_case(number)

            threads = [threading.Thread(target=work, daemon=True) for _ in range(CALLERS)]
            pages = threading.Thread(target=self.watch_pages, daemon=True)
            for thread in [*threads, pages]:
                thread.start()
            for thread in threads:
                thread.join()
            self.toggle_memory()
            memory = 0 if self.gate.process.poll() is not None else self.memory()
            found, self.failure = self.failure, self.failure or "over"
            self.stopping.set()
            pages.join()
            self.failure = found
            self.end(memory)
        return done, memory

    def toggle_memory(self):
        """From now on allocations fail, or do no more."""
        if self.failing and self.gate.process.poll() is None:
            self.gate.process.send_signal(signal.SIGUSR1)

    def end(self, memory):
        try:
            if self.failing and self.failure is None:
                self.send_canary("last")
            self.gate.stop()
            self.check_log()
            if memory > MEMORY_LIMIT:
                raise Failure(f"{memory} MiB were resident")
            if self.server.faults:
                raise Failure(f"of the fuzzer's own: {self.server.faults}")
        except Exception as failure:  # pylint: disable=broad-except
            self.fail(f"at the end: {failure}")
        if self.failure is None:
            self.stopping.clear()
        else:
            self.failure += "\n" + "\n".join(
                line for line in self.gate.lines if not line.startswith("{"))[-6000:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--failing", type=int, default=0, help="one allocation in so many fails")
    parser.add_argument("--case", type=int, help="this one alone")
    parser.add_argument("--cases", type=int, help="the first ones, however long they take")
    options = parser.parse_args()
    sys.setrecursionlimit(5_000)  # what is answered is nested more deeply than any reader follows
    run = Run(options.seed, options.failing)
    numbered = options.case is not None or options.cases is not None
    until = time.monotonic() + (3600 if numbered else options.seconds)
    end = options.cases or sys.maxsize
    cases, most, first = 0, 0, 0
    while run.failure is None and first < end and (first == 0 or time.monotonic() < until):
        numbers = [options.case]
        if options.case is None:
            numbers = range(first, min(first + ROUND, end))
        count, memory = run.round(numbers, until)
        cases, most, first = cases + count, max(most, memory), first + ROUND
        if options.case is not None:
            for entry in run.server.cases[str(options.case)].journal:
                print(*entry)
            break
    if run.failure is not None:
        print(f"{run.failure}\nFAILED: a hostile server; --seed {options.seed}")
        sys.exit(1)
    print(f"hostile server: {cases} cases, at most {most} MiB")


main()
