"""Whoever is killed in the middle of a write: no twin stays that the next look does not find, no task
is lost, and the CA gets no order too many.

Each round puts a server with a few domains behind two replicas and a lock server, lets reconcilers and
sweeps loose on them, and kills one of the three at one write, before the server has done it or after.
In every other round the server runs what is due meanwhile, as a real one does.
What is drawn is drawn from the round's number, so a round that fails can be run again:

    CAMPAIGN_FIRST=17 CAMPAIGN_ROUNDS=1 RENEWGATE_BUILD=build/asan pytest tests/blackbox/test_campaign.py

(one of `make campaign` with CAMPAIGN_EACH=1 besides). That takes each write in turn; the short form draws.
"""

import concurrent.futures
import http.client
import json
import os
import random
import tempfile
import time

import pytest

from gate import Gate
from lock_server import Redis
from standin import VERSIONS, Standin, basic
from test_gate import DUE, FRESH, certificate, days, domain, retry, state, task

pytestmark = pytest.mark.workers

FIRST = int(os.environ.get("CAMPAIGN_FIRST", 0))
ROUNDS = int(os.environ.get("CAMPAIGN_ROUNDS", 24))
EACH = "CAMPAIGN_EACH" in os.environ
AT_ONCE = 3
PATIENCE = 120  # seconds until a wait counts as one without end

IDS = ["c", "d", "f", "g"]
CLIENTS = 4
CREATES = 12  # by each client
WRITES = 24  # of which the round's is one; there are not always so many
VICTIMS = ["gate", "server", "lock"]


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


class Round:
    def __init__(self, number, folder):
        self.random = random.Random(number)
        self.victim = VICTIMS[number % 3]
        self.after = number // 3 % 2 == 1
        self.write = number // 6 % WRITES if EACH else self.random.randrange(WRITES)
        self.runs = random.Random(f"{number}/runs").random() < 0.5
        self.file = os.path.join(folder, f"{number}.json")
        self.fresh = {id: self.random.random() < 0.4 for id in IDS}
        self.server = Standin(self.random.choice(VERSIONS), self.first_state()).start()
        self.start_runner()
        self.lock = Redis()
        self.gates = [self.start_gate() for _ in range(2)]
        self.killed = []

    def first_state(self):
        """Fresh and due domains, some with tasks that wait, some with twins of those."""
        tasks = []
        for id in IDS:
            for n in range(self.random.choice([0, 0, 1, 2, 3])):
                name = f"jp173xlca{id}{'abc'[n]}a"
                later = days(20 + self.random.randrange(5))
                tasks.append(retry(later, domain=id, id=name) if self.random.random() < 0.2
                             else task(later, id, name))
        self.had = {each["domainId"] for each in tasks}
        return state([certificate(FRESH if self.fresh[id] else DUE, [f"mail.{id}.test"])
                      for id in IDS], tasks, [domain(id, f"{id}.test") for id in IDS])

    def start_gate(self):
        return Gate(self.server.port, LOCK_URL=self.lock.url, LOCK_TIMEOUT="10s", WORKERS=2,
                    SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="1s", SWEEP_RATE=1000,
                    SURVEY_INTERVAL="off", DRAIN_TIMEOUT="1s")

    def start_runner(self):
        self.server.runner(enabled=self.runs, order_seconds=0.03, gap_seconds=0.01)

    # The reconcilers.

    def client(self, seed):
        """Asks and asks, whatever comes of it."""
        drawn = random.Random(seed)
        for _ in range(CREATES):
            try:
                self.gates[drawn.randrange(2)].renew(drawn.choice(IDS))
            except (OSError, http.client.HTTPException, AssertionError, ValueError, KeyError):
                time.sleep(0.05)

    # The kill.

    def arm(self):
        end = {"die": self.file} if self.victim == "server" else {"hang": True}
        self.server.fault(match='"x:Task/set"', skip=self.write, times=1, after=self.after, **end)

    def is_reached(self):
        if self.victim == "server":
            return self.server.process.poll() is not None
        return self.server.faults()[0]["met"] > 0

    def kill(self):
        if self.victim == "gate":
            at = self.random.randrange(2)
            self.gates[at].process.kill()
            self.gates[at].process.wait()
            assert "Sanitizer" not in "\n".join(self.gates[at].lines)
            self.server.clear_faults()
            self.killed.append(self.gates[at])
            self.gates[at] = self.start_gate()
        elif self.victim == "lock":
            self.lock.kill()
            self.server.clear_faults()
            self.lock.start()
        else:
            self.server.process.wait()
            self.server.process.stdout.close()
            self.server.start(self.file)
            self.start_runner()

    def expire_leases(self):
        """What nobody holds any more would run out: the server has done what it does by then. One
        that is held for so long would be held on, and is not seen again with the same value."""
        held = {key: self.lock.say("GET", key) for key in self.lock.say("KEYS", "*:lease")}
        time.sleep(0.5)
        for key, value in held.items():
            if value and self.lock.say("GET", key) == value:
                self.lock.say("PEXPIRE", key, 1)

    # What is left.

    def look(self):
        """The next look at each domain."""
        for id in IDS:
            def settled():
                try:
                    return isinstance(self.gates[0].renew(id), str)
                except (OSError, http.client.HTTPException, AssertionError):
                    return False
            wait_for(settled, f"no answer for {id}")

    def check_tasks(self):
        live = [each for each in self.server.tasks() if each["status"]["@type"] != "Failed"]
        soon = days(1)
        for id in IDS:
            dues = [each["status"]["due"] for each in live if each["domainId"] == id]
            waiting = [due for due in dues if due > soon]
            assert len(waiting) <= 1 and len(dues) - len(waiting) <= 1, f"twins of {id}: {live}"
            assert dues or (self.fresh[id] and id not in self.had), f"{id} has lost its task"

    def blind(self, id):
        """Creates that went on without a look-up, as they may while a server is away."""
        lines = [line for gate in self.gates + self.killed for line in list(gate.lines)]
        made = [json.loads(line) for line in lines if '"message":"decision"' in line]
        return sum(each["domain_id"] == id and each["row"] == 9 for each in made)

    def check_orders(self):
        """What is due is ordered once, and asked for again not at all."""
        ran = []
        for _ in range(2):
            ran.append(self.server.run())
            counters = self.server.counters()
            for id in IDS:
                orders = counters["orders_by_names"].get(f"mail.{id}.test", 0)
                most = (0 if self.fresh[id] else 1) + self.blind(id)
                assert orders <= most, (id, counters)
            assert counters["refusals"] == 0
            self.look()
        assert ran[1] == 0

    def run(self):
        self.arm()
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(self.client, self.random.random()) for _ in range(CLIENTS)]
            wait_for(lambda: self.is_reached() or all(each.done() for each in clients),
                     "the clients wait for ever")
            if self.is_reached():
                self.kill()
            end = time.monotonic() + PATIENCE
            while not all(each.done() for each in clients):
                assert time.monotonic() < end, "the clients wait for ever"
                self.expire_leases()
        self.server.runner(enabled=False)
        self.server.clear_faults()
        self.look()
        self.check_tasks()
        self.check_orders()
        for gate in self.gates:
            gate.stop()

    def close(self):
        for gate in self.gates:
            gate.process.kill()
            gate.process.wait()
        self.lock.kill()
        if self.server.process:
            self.server.process.kill()
            self.server.process.wait()


def run_round(number, folder):
    """None, or what went wrong."""
    campaign = None
    try:
        campaign = Round(number, folder)
        campaign.run()
        return None
    except Exception as error:  # pylint: disable=broad-except
        lines = [line for gate in campaign.gates for line in gate.lines] if campaign else []
        what = f"{campaign.victim} at write {campaign.write}, after: {campaign.after}, " \
            f"runner: {campaign.runs}" if campaign else "the beginning"
        return f"round {number}, {what}: {error!r}\n" + "\n".join(lines)
    finally:
        if campaign:
            campaign.close()


def test_a_kill_at_any_write_leaves_nothing_that_the_next_look_does_not_mend():
    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        faults = list(filter(None, pool.map(lambda number: run_round(number, folder),
                                            range(FIRST, FIRST + ROUNDS))))
    assert not faults, "\n".join(faults)
