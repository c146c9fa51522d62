"""A reconciler that renews everything, again and again: first straight at a mail server, then
through renewgate. The server is the stand-in of the tests, which behaves like v0.16.5 with a
certification authority behind it. Every number shown was counted while it ran: answers by the
reconciler, all else by the stand-in and the gate.

deploy/demo.sh builds what is needed and starts this.
"""

import base64
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "release"
LOGS = ROOT / "build" / "demo"
VERSION = "v0.16.5"
ISSUE_LIMIT = "5/168h"
ROUNDS = 97
PAUSE = 0.03  # between two rounds: time for tasks to run
ORDER_SECONDS = 0.01  # how long an order takes; on the real thing, more like ten seconds
PROVIDER = "jp173noyaiqa"
AUTHORIZATION = "Basic " + base64.b64encode(b"admin:secret").decode()
NOW = datetime.datetime.now(datetime.timezone.utc)


class Failure(Exception):
    """Why the demo cannot go on, in words."""


# -- the domains -----------------------------------------------------------------------------------

def days(count):
    return (NOW + datetime.timedelta(days=count)).strftime("%Y-%m-%dT%H:%M:%SZ")


# Certificates last 90 days and are due for renewal after 60. A domain is: its id, the age of its
# certificate (None: there is none), in how many days its next renewal is queued (None: it is not),
# and whether a renewal should happen now.
DOMAINS = {
    "young.example": ("b", 3, 57, False),
    "steady.example": ("c", 30, 30, False),
    "unqueued.example": ("d", 10, None, False),
    "lonely.example": ("e", 45, None, False),
    "due.example": ("f", 62, None, True),
    "expired.example": ("g", 95, None, True),
    "late.example": ("h", 70, 20, True),
    "new.example": ("i", None, None, True),
}
TO_RENEW = [name for name, (*_, renew) in DOMAINS.items() if renew]


def names_of(name):
    return {"mail." + name: True}


def opening_state():
    """The stand-in's state at the start of each act."""
    domains, certificates, tasks = [], [], []
    for name, (id, age, queued, _) in DOMAINS.items():
        management = {"@type": "Automatic", "acmeProviderId": PROVIDER,
                      "subjectAlternativeNames": {"mail": True}}
        domains.append({"id": id, "name": name, "certificateManagement": management})
        if age is not None:
            certificates.append({"subjectAlternativeNames": names_of(name),
                                 "notValidBefore": days(-age), "notValidAfter": days(90 - age)})
        if queued is not None:
            tasks.append({"@type": "AcmeRenewal", "domainId": id,
                          "status": {"@type": "Pending", "due": days(queued)}})
    return {"domains": domains, "certificates": certificates, "tasks": tasks,
            "hostname": "mail.example", "ca": {"limit": ISSUE_LIMIT},
            "runner": {"enabled": True, "order_seconds": ORDER_SECONDS}}


# -- the programs ----------------------------------------------------------------------------------

def start(stack, command, **options):
    """Starts a program that ends with the demo, and does not see its terminal's Ctrl-C."""
    if not command[0].exists():
        raise Failure(f"{command[0]} is not there: run deploy/demo.sh")
    process = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL,
                               **options)
    stack.callback(stop, process)
    return process


def stop(process):
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class StandIn:
    def __init__(self, stack):
        process = start(stack, [BUILD / "stalwart-standin", "--version-like", VERSION,
                                "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"],
                        stdout=subprocess.PIPE, text=True)
        words = process.stdout.readline().split()
        if words[:1] != ["ready"]:
            raise Failure("the stand-in for the mail server did not start")
        ports = dict(word.split("=") for word in words[1:])
        self.port, self.control_port = int(ports["listen"]), int(ports["control"])

    def control(self, method, target, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, target, None if body is None else json.dumps(body))
            response = connection.getresponse()
            content = response.read()
        if response.status != 200:
            raise Failure(f"the stand-in refused {method} {target}: {content.decode()}")
        return json.loads(content)


class Gate:
    def __init__(self, stack, upstream_port):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("RENEWGATE_")}
        environment |= {"RENEWGATE_UPSTREAM_URL": f"http://127.0.0.1:{upstream_port}",
                        "RENEWGATE_LISTEN": "127.0.0.1:0", "RENEWGATE_ADMIN_LISTEN": "127.0.0.1:0",
                        "RENEWGATE_ISSUE_LIMIT": ISSUE_LIMIT}
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / "gate.log"
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = start(stack, [BUILD / "renewgate"], env=environment, stderr=log)
        ready = self._wait_until_ready()
        self.port = int(ready["listen"].rsplit(":", 1)[1])
        self.admin_port = int(ready["admin_listen"].rsplit(":", 1)[1])

    def _wait_until_ready(self):
        give_up = time.monotonic() + 10
        while time.monotonic() < give_up and self.process.poll() is None:
            for line in self.log.read_text(encoding="utf-8").splitlines(keepends=True):
                if line.endswith("}\n") and '"admin_listen"' in line:
                    return json.loads(line)
            time.sleep(0.02)
        raise Failure("the gate did not start:\n" + self.log.read_text(encoding="utf-8"))

    def decisions(self):
        """Outcomes and how often each was decided, from the gate's own metrics."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        start = 'renewgate_decisions_total{outcome="'
        found = (line.removeprefix(start).split('"} ') for line in text.splitlines()
                 if line.startswith(start))
        return {outcome: int(count) for outcome, count in found}


# -- the story -------------------------------------------------------------------------------------

class Reconciler:
    """Asks for the renewal of every domain, as those do that cannot know better."""

    def __init__(self, stack, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        stack.callback(self.connection.close)
        self.answered = 0

    def renew(self, domain_id):
        create = {"@type": "AcmeRenewal", "domainId": domain_id}
        body = json.dumps({"using": ["urn:ietf:params:jmap:core", "urn:stalwart:jmap"],
                           "methodCalls": [["x:Task/set", {"create": {"k": create}}, "c"]]})
        self.connection.request("POST", "/jmap/", body, {
            "Content-Type": "application/json", "Authorization": AUTHORIZATION})
        response = self.connection.getresponse()
        content = response.read()
        try:
            json.loads(content)["methodResponses"][0][1]["created"]["k"]["id"]
        except (ValueError, LookupError, TypeError):
            raise Failure(f"a renewal was not answered with a task (status {response.status}): "
                          f"{content[:500].decode(errors='replace')}") from None
        self.answered += 1


class Progress:
    """One line that is written over on a terminal; elsewhere a dot now and then."""

    def __init__(self, title):
        self.title = title
        self.terminal = sys.stdout.isatty()
        if not self.terminal:
            print(title + " ", end="", flush=True)

    def show(self, rounds, answered, counters):
        if self.terminal:
            print(f"\r\033[K{self.title} round {rounds}/{ROUNDS}, {answered} creates, "
                  f"{counters['orders']} orders, {counters['refusals']} refused",
                  end="", flush=True)
        elif rounds % 5 == 0:
            print(".", end="", flush=True)

    def end(self):
        print(flush=True)


def play(title, standin, port):
    """One act: the same opening state, the same reconciler; what was counted."""
    standin.control("PUT", "/state", opening_state())
    standin.control("POST", "/counters/reset")
    progress = Progress(title)
    with contextlib.ExitStack() as stack:
        stack.callback(progress.end)
        reconciler = Reconciler(stack, port)
        for rounds in range(1, ROUNDS + 1):
            for id, *_ in DOMAINS.values():
                reconciler.renew(id)
            progress.show(rounds, reconciler.answered, standin.control("GET", "/counters"))
            time.sleep(PAUSE)
    standin.control("POST", "/run")  # what is due still
    live = [task for task in standin.control("GET", "/state")["tasks"]
            if task["@type"] == "AcmeRenewal" and task["status"]["@type"] != "Failed"]
    return {"answered": reconciler.answered, "live": live, **standin.control("GET", "/counters")}


def print_table(direct, gated):
    def waiting(act):
        return sum(task["status"]["@type"] == "Retry" for task in act["live"])

    rows = [(words, *map(count, (direct, gated))) for words, count in (
        ("creates answered with a task's id", lambda act: act["answered"]),
        ("tasks that the server made for them", lambda act: act["creates_answered"]),
        ("orders placed at the CA", lambda act: act["orders"]),
        ("certificates stored", lambda act: act["certificates"]),
        ("refusals by the CA", lambda act: act["refusals"]),
        ("tasks queued at the end", lambda act: len(act["live"])),
        ("of those, held up by a refusal", waiting),
        ("HTTP requests to the server", lambda act: act["http_requests"]),
    )]
    print(f"\n{'':37}{'straight':>12}{'through':>12}\n{'':37}{'at it':>12}{'renewgate':>12}")
    for words, one, other in rows:
        print(f"{words:37}{one:>12}{other:>12}")


def check(gated):
    """What the gate is for, or a Failure."""
    due = {",".join(names_of(name)): 1 for name in TO_RENEW}
    if gated["orders_by_names"] != due:
        raise Failure(f"through the gate, one order each was expected for {', '.join(due)}; "
                      f"there were {gated['orders_by_names']}")
    if gated["refusals"] != 0:
        raise Failure("the CA refused orders that came through the gate")
    owners = [task["domainId"] for task in gated["live"]]
    if len(owners) != len(set(owners)):
        raise Failure("a domain has more than one task in the queue")


def curl(port):
    body = ('{"using":["urn:ietf:params:jmap:core","urn:stalwart:jmap"],"methodCalls":'
            '[["x:Task/set",{"create":{"k":{"@type":"AcmeRenewal","domainId":"b"}}},"c"]]}')
    return ("  curl -s -u admin:secret -H 'Content-Type: application/json' "
            f"http://127.0.0.1:{port}/jmap/ \\\n    -d '{body}'")


def print_commands(standin, gate):
    print(f"""
Renew {next(iter(DOMAINS))} through the gate: the same id each time, and no order.
{curl(gate.port)}
The same straight at the server: another task each time, and another order.
{curl(standin.port)}
What the server and its CA have counted; why the gate decided as it did; its metrics:
  curl -s http://127.0.0.1:{standin.control_port}/counters
  tail -n 3 {gate.log}
  curl -s http://127.0.0.1:{gate.admin_port}/metrics""")


def tell(stack):
    standin = StandIn(stack)
    gate = Gate(stack, standin.port)
    print(f"""
{len(DOMAINS)} domains; {len(TO_RENEW)} of them are due for renewal. A reconciler asks for the \
renewal of all of them
{ROUNDS} times, at a mail server like {VERSION} whose CA allows five certificates a week for \
one set of names.
""")
    direct = play("straight at the server:", standin, standin.port)
    gated = play("through renewgate:     ", standin, gate.port)
    print_table(direct, gated)
    decisions = ", ".join(f"{count} {outcome}" for outcome, count in gate.decisions().items()
                          if count)
    print(f"\nThe gate decided: {decisions}.")
    check(gated)
    stays = sys.stdin.isatty()
    if not stays:
        print("\nStarted from a terminal, the demo stays up here, for commands such as these.")
    print_commands(standin, gate)
    sys.stdout.flush()
    if stays:
        print("\nThe server and the gate run until Ctrl-C.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
        print()


def main():
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        with contextlib.ExitStack() as stack:
            tell(stack)
    except KeyboardInterrupt:
        return 130
    except (Failure, OSError, http.client.HTTPException) as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
