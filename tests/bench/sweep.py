"""One sweep over the whole queue, `renewgate sweep`: requests, seconds, memory."""

import contextlib
import os
import subprocess
import time

from creates import AGE_FRESH, domain_id, fill
from programs import BUILD, MEASURED, Failure, basic, on_processors, start_standin

SECTION = "A sweep"
#: Requests a second at most: so many that the sweep is not kept waiting.
RATE = 1000


def known():
    """Whether this gate has the command: without any settings it then misses the server's URL."""
    said = subprocess.run([BUILD / "renewgate", "sweep"], env={}, capture_output=True, text=True,
                          check=False)
    return "is not understood" not in said.stderr


def run(standin):
    """Seconds, CPU seconds and the most memory of one sweep."""
    environment = {"RENEWGATE_UPSTREAM_URL": standin.url,
                   "RENEWGATE_SERVICE_AUTHORIZATION": basic(), "RENEWGATE_SWEEP_RATE": str(RATE)}
    began = time.monotonic()
    with on_processors(MEASURED):
        process = subprocess.Popen([BUILD / "renewgate", "sweep"], env=environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failure(f"the sweep ended with {process.returncode}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def add_due(standin, count):
    """One domain more for each hundred, with neither a certificate nor a task."""
    standin.add(domains=[standin.domain(domain_id(number), f"due{number}.test")
                         for number in range(count + 2, count + 2 + count // 100)])


def measure(report, quick):
    if not known():
        report.note(SECTION, "Not measured: this gate has no command `sweep`.")
        return
    count = 1_000 if quick else 100_000
    with contextlib.ExitStack() as stack:
        standin = start_standin(stack)
        fill(standin, count, AGE_FRESH)
        for words in ("with one twin in a hundred", "with nothing to do",
                      "with one due and without a task in a hundred"):
            if "due" in words:
                add_due(standin, count)
            standin.reset_counters()
            seconds, cpu, memory = run(standin)
            requests = standin.counters()["http_requests"]
            for measure_name, value, unit in (("requests", requests, ""), ("time", seconds, "s"),
                                              ("CPU of the gate", cpu, "s"),
                                              ("most memory", memory, "MiB")):
                report.add(SECTION, f"{count:,} domains, {measure_name}", words, value, unit)
