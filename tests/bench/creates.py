"""What a create costs that is held: requests to the server and CPU of the gate, by how many domains
there are; and what the gate remembers of each domain.

The server is the tests' stand-in. Each domain has a certificate and a task for its next renewal,
and one in a hundred a second task. "Cold" is the first create for a domain since the gate started,
"warm" each one after it.
"""

import contextlib
import http.client
import json
import random
import re
from dataclasses import dataclass

from programs import BUILD, Failure, Gate, basic, start_standin

SECTION = "Held creates"
SIZES = (10, 1_000, 100_000)
#: What a request may create at most; the server's limit.
BATCH = 500
#: How many at once make all domains known.
SMALL_BATCH = 100
#: In days; certificates last 90, and renewal is due after 60.
AGE_FRESH, AGE_DUE = 10, 70
#: How many cold creates are looked at; where there are fewer domains, more gates are started.
SAMPLE = {AGE_FRESH: 100, AGE_DUE: 20}
QUICK_SAMPLE = {AGE_FRESH: 50, AGE_DUE: 20}
WARM_ROUNDS = 3
MIB = 1 << 20
DIGITS = "abcdefghijklmnopqrstuvwxyz792013"


def domain_id(number):
    """An id in the server's base 32; the stand-in numbers its domains from 1."""
    text = ""
    while number or not text:
        number, digit = divmod(number, 32)
        text = DIGITS[digit] + text
    return text


@dataclass
class Cost:
    """What some creates cost together."""

    creates: int = 0
    cpu: float = 0
    requests: int = 0
    lookups: int = 0

    def each(self):
        return (self.cpu / self.creates * 1e6, self.requests / self.creates,
                self.lookups / self.creates)


class Client:
    """Creates renewals through a gate in front of a stand-in, and counts what that costs."""

    def __init__(self, stack, standin, **settings):
        self.standin = standin
        self.gate = Gate(stack, standin.port, **settings)
        self.connection = stack.enter_context(contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self.gate.port, timeout=120)))

    def post(self, creates):
        body = json.dumps({"using": ["urn:ietf:params:jmap:core", "urn:stalwart:jmap"],
                           "methodCalls": [["x:Task/set", {"create": creates}, "c"]]})
        self.connection.request("POST", "/jmap/", body, {
            "Content-Type": "application/json", "Authorization": basic()})
        response = self.connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise Failure(f"a create was answered {response.status}: {content[:200]}")
        answer = json.loads(content)["methodResponses"][0][1]
        if set(answer.get("created", ())) != set(creates):
            raise Failure(f"a create was not answered with a task: {content[:200]}")

    def renew(self, numbers):
        """One request that creates a renewal for each domain."""
        self.post({f"k{number}": {"@type": "AcmeRenewal", "domainId": domain_id(number)}
                   for number in numbers})

    def lookups(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.gate.admin_port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            metrics = connection.getresponse().read().decode()
        return int(re.search(r"^renewgate_lookup_requests_total (\d+)$", metrics, re.M)[1])

    @contextlib.contextmanager
    def counted(self, cost, creates):
        """Adds what happens meanwhile to the cost."""
        lookups, requests = self.lookups(), self.standin.counters()["http_requests"]
        cpu = self.gate.cpu_seconds()
        yield
        cost.cpu += self.gate.cpu_seconds() - cpu
        cost.requests += self.standin.counters()["http_requests"] - requests
        cost.lookups += self.lookups() - lookups
        cost.creates += creates

    def renew_each(self, numbers, cost):
        with self.counted(cost, len(numbers)):
            for number in numbers:
                self.renew([number])


def fill(standin, count, age):
    """`count` domains and one more, with which gates are brought to speed."""
    standin.put_state(generate={"domains": count + 1, "subjectAlternativeNames": {"mail": True},
                                "certificate_age_days": age, "task_due_days": 60 - AGE_FRESH},
                      ca={"limit": "off"})
    later = standin.clock()["now"][:4]  # the year after the next: behind the generated ones
    standin.add(tasks=[standin.task(domain_id(number), f"{int(later) + 2}-01-01T00:00:00Z")
                       for number in range(1, count + 1, 100)])


def new_client(stack, standin, count, binary=BUILD / "renewgate"):
    client = Client(stack, standin, binary=binary)
    for _ in range(50):
        client.renew([count + 1])
    return client


def measure_single(standin, count, sample, cold, warm):
    """Creates one after the other, each first cold, then warm."""
    chosen = random.Random(count)
    while cold.creates < sample:
        with contextlib.ExitStack() as stack:
            client = new_client(stack, standin, count)
            numbers = chosen.sample(range(1, count + 1), min(count, sample))
            client.renew_each(numbers, cold)
            for _ in range(WARM_ROUNDS):
                client.renew_each(numbers, warm)


def report_single(report, words, subject, cost):
    cpu, requests, lookups = cost.each()
    report.add(SECTION, f"{words}: requests to the server", subject, requests, "")
    report.add(SECTION, f"{words}: of these, look-ups", subject, lookups, "")
    report.add(SECTION, f"{words}: CPU of the gate", subject, cpu, "µs")


def measure_batch(report, standin, count, subject):
    """As many in one request as the server takes, first cold, then warm, then others, cold too but
    to a gate that has seen the first ones' certificates."""
    with contextlib.ExitStack() as stack:
        client = new_client(stack, standin, count)
        for words, first in (("cold", 1), ("warm", 1), ("cold after others", 1 + BATCH)):
            numbers = range(first, min(first + BATCH, count + 1))
            cost = Cost()
            with client.counted(cost, len(numbers)):
                client.renew(numbers)
            report.add(SECTION, f"{BATCH} in one request, {words}: look-ups", subject,
                       cost.lookups, "")
            report.add(SECTION, f"{BATCH} in one request, {words}: CPU of the gate for each",
                       subject, cost.each()[0], "µs")


def measure_memory(report, standin, count, subject):
    """[(domains known, MiB)], while all of them become known."""
    with contextlib.ExitStack() as stack:
        client = new_client(stack, standin, count)
        begin = client.gate.resident()
        points = [(0, begin / MIB)]
        for first in range(1, count + 1, SMALL_BATCH):
            batch = range(first, min(first + SMALL_BATCH, count + 1))
            client.renew(batch)
            points.append((batch[-1], client.gate.resident() / MIB))
        report.add(SECTION, "memory for each domain, once all are known", subject,
                   (client.gate.resident() - begin) / count, "bytes")
    return points


def measure(report, quick):
    sizes = SIZES[:2] if quick else SIZES
    sample = QUICK_SAMPLE if quick else SAMPLE
    curves, memory = {}, []
    with contextlib.ExitStack() as stack:
        standin = start_standin(stack)
        for age, state in ((AGE_FRESH, "certificate fresh"), (AGE_DUE, "renewal due")):
            for count in sizes:
                subject = f"{count:,} domains"
                fill(standin, count, age)
                cold, warm = Cost(), Cost()
                measure_single(standin, count, sample[age], cold, warm)
                for words, cost in (("cold", cold), ("warm", warm)):
                    report_single(report, f"{state}, {words}", subject, cost)
                    curves.setdefault(f"{state}, {words}", []).append((count, *cost.each()))
                if age == AGE_FRESH and count > BATCH:
                    measure_batch(report, standin, count, subject)
                    memory = measure_memory(report, standin, count, subject)
    scale = ["set logscale xy", "set xrange [5:200000]", "set yrange [*:*]"]
    for name, title, unit, place in (
            ("creates-cpu", "CPU of the gate for a held create", "microseconds", 1),
            ("creates-requests", "Requests to the server for a held create", "requests", 2)):
        series = {label: [(point[0], point[place]) for point in points]
                  for label, points in curves.items()}
        report.plot(name, title, "domains", unit, series, scale)
    report.plot("memory-domains", "Memory of the gate by domains known", "domains", "MiB",
                {"resident": memory}, style="lines")
