"""Random batches, straight and through the gate: no task appears that no decision explains.

BATCHES=20000 SEED=7 pytest tests/blackbox/test_differential.py runs for longer, and other ones.
"""

import http.client
import json
import os
import random

from gate import Gate
from standin import USING, basic
from test_gate import DUE, FRESH, LATER, SOON, certificate, days, domain, state, task

BATCHES = int(os.environ.get("BATCHES", "120"))
SEED = int(os.environ.get("SEED", "1"))

NAMES = {"b": "example.org", "c": "c.test", "d": "d.test", "e": "e.test", "g": "manual.test"}
QUEUED = {"c": ("jp173xlcamqa", LATER), "d": ("jp173xlcamqb", SOON)}
FRESH_ONES = {"b": "jp173xlcamza", "c": "jp173xlcamzb"}
KEYS = ["k", "l", "d", "m", ""]
IDS = [*NAMES, "zz", "ab", "aab", "B", "b\0", "b ", "", "#", *(f"#{key}" for key in KEYS[:4]), "#x",
       *(id for id, _ in QUEUED.values())]
TASKS = [*(id for id, _ in QUEUED.values()), "a" + QUEUED["c"][0], "#k", "333", "!"]
FACTS = ("x:Domain/set", "x:Certificate/set", "x:AcmeProvider/set", "x:SystemSettings/set")


def begin():
    """Fresh, fresh and queued, due and running, due, managed by hand."""
    return state(
        [certificate(FRESH if id in FRESH_ONES else DUE, [f"mail.{name}"],
                     id=FRESH_ONES.get(id, f"jp173xlcamx{id}")) for id, name in NAMES.items()],
        [task(due, id, task_id) for id, (task_id, due) in QUEUED.items()],
        domains=[domain(id, name, kind="Manual" if id == "g" else "Automatic")
                 for id, name in NAMES.items()])


class Batches:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def some(self, *of):
        return self.random.choice(of)

    def rarely(self, often=0.15):
        return self.random.random() < often

    def create(self):
        made = {"@type": self.some(*["AcmeRenewal"] * 9, "DnsManagement", "Other", "acmeRenewal",
                                   "AcmeRenewal\0"),
                "domainId": self.some(*IDS)}
        if made["@type"] == "DnsManagement":
            made |= {"onSuccessRenewCertificate": self.some(True, False),
                     "updateRecords": {"mx": True}}
        if self.rarely():
            made["status"] = self.some(
                {"@type": "Failed", "failureReason": "x"}, {"@type": "Pending", "due": LATER},
                {"@type": "Pending", "due": SOON}, {"@type": "Pending"}, {"@type": "Nothing"})
        if self.rarely():
            made[self.some("wrong", "#k", "id", "due")] = self.some(1, "b", None)
        return made

    def creates(self):
        return {self.some(*KEYS): self.create() for _ in range(self.some(1, 1, 1, 2, 3))}

    def removal(self):
        return self.some({"destroy": [self.some(*TASKS)]},
                         {"update": {self.some(*TASKS): self.some({}, {"status/due": LATER})}},
                         {"#destroy": self.reference()})

    def reference(self):
        return {"resultOf": self.some("c0", "c1", "c2", "same"),
                "name": self.some("x:Task/query", "x:Task/query", "x:Task/get", "x:Task/set"),
                "path": self.some("/ids", "/ids", "/ids/*", "/list/*/id", "/created/k/id")}

    def call(self):
        kind = self.random.random()
        if kind < 0.5:
            return ["x:Task/set", {"create": self.creates(),
                                   **(self.removal() if self.rarely(0.25) else {})}]
        if kind < 0.6:
            return [self.some("Core/echo", "x:Task/make", "x:Domain/get", "x:Tasks/set", "Email/set"),
                    {"create": self.creates(), "created": {"d": {"id": "b"}}}]
        if kind < 0.7:
            return ["x:Task/query", {"filter": self.some({}, {"@type": "AcmeRenewal"},
                                                         {"status": "Failed"})}]
        if kind < 0.78:
            return ["x:Task/get", self.some({"ids": ["#" + self.some(*KEYS)]},
                                            {"#ids": self.reference()}, {"ids": [TASKS[0]]})]
        if kind < 0.85:
            return ["x:Task/set", self.removal()]
        if kind < 0.94:
            return ["x:Domain/set", self.some(
                {"create": {self.some(*KEYS): {"name": self.some("new.test", "c.test")}}},
                {"create": {self.some(*KEYS): {"name": "new.test", "certificateManagement": {
                    "@type": "Automatic", "acmeProviderId": self.some("c", "#k", "zz")}}}},
                {"update": {self.some(*NAMES): {"description": "x"}}}, {"destroy": ["333"]})]
        return ["x:Certificate/set", {"destroy": [self.some(*FRESH_ONES.values(), "333", "#k")]}]

    def batch(self):
        calls = [[*self.call(), "same" if self.rarely(0.1) else f"c{i}"]
                 for i in range(self.some(1, 1, 2, 2, 3, 4, 5))]
        made = {"using": USING, "methodCalls": calls}
        if self.rarely(0.5):
            made["createdIds"] = {key: self.some(*NAMES, "zz", TASKS[0])
                                  for key in self.random.sample(KEYS, self.some(0, 1, 1, 2))}
        return made

    # Spellings of one text

    def letter(self, letter):
        if self.rarely(0.1):
            return f"\\u{ord(letter):04{self.some('x', 'X')}}"
        return json.dumps(letter)[1:-1]

    def text(self, text, plain):
        return json.dumps(text) if plain else f'"{"".join(map(self.letter, text))}"'

    def blank(self):
        return self.some("", "", "", " ", "\n\t") if self.disguised else ""

    def spell(self, value, depth=0, plain=True):
        """At the top and for methods the server reads no escapes, in what is below it does."""
        if isinstance(value, dict):
            members = list(value.items())
            if members and self.disguised and depth > 3 and self.rarely(0.05):
                key, member = self.some(*members)
                members.insert(0, (key, self.some(member, {}, "b")))
                self.repeats = True
            inner = (self.blank() + self.text(key, plain or depth < 4) + ":" +
                     self.spell(member, depth + 1, plain) for key, member in members)
            return "{" + ",".join(inner) + self.blank() + "}"
        if isinstance(value, list):
            inner = (self.spell(member, depth + 1, plain or (depth == 2 and i != 1))
                     for i, member in enumerate(value))
            return "[" + self.blank() + ",".join(inner) + "]"
        return self.text(value, plain) if isinstance(value, str) else json.dumps(value)

    def written(self, batch):
        self.disguised, self.repeats = self.rarely(0.5), False
        calls = self.spell(batch["methodCalls"], 1, not self.disguised)
        rest = {key: value for key, value in batch.items() if key != "methodCalls"}
        return (json.dumps(rest)[:-1] + ', "methodCalls": ' + calls + "}").encode()


def post(port, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/jmap/", body, {"Content-Type": "application/json",
                                                    "Authorization": basic()})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


# A result reference finds these, and what was made before in the same batch.
BEGUN = {item["id"] for kind in ("certificates", "tasks") for item in begin()[kind]}


def shape(answer, body):
    """What is the same whichever task is the answer: who was served, and who was refused why."""
    def of(name, arguments):
        if not name.endswith("/set") or name == "error":
            return arguments.get("type")
        shown = {member: {key: error["type"] for key, error in value.items()}
                 if member.startswith("not") else {key: None for key in value}
                 for member, value in arguments.items() if member != "accountId"}
        for member in {"destroyed", "notDestroyed"} & set(shown):
            shown[member] = {id: why for id, why in shown[member].items()
                             if id in BEGUN or id.encode() in body}
        return shown
    return [(name, of(name, arguments), id) for name, arguments, id in answer["methodResponses"]]


def renewals(standin):
    return {task["id"]: task for task in standin.state()["tasks"]
            if task["@type"] == "AcmeRenewal" and task["status"]["@type"] != "Failed"}


def changed_by(answer):
    """Whether a call has changed what decisions rest on, and the domains that were set."""
    facts, removed, domains = False, False, set()
    for name, arguments, _ in answer["methodResponses"]:
        made = [object["id"] for object in arguments.get("created", {}).values()] \
            if isinstance(arguments.get("created"), dict) else []
        if name == "x:Domain/set":
            domains |= {*made, *arguments.get("updated", {})}
        facts = facts or (name in FACTS and
                          any(arguments.get(each) for each in ("updated", "destroyed")))
        removed = removed or (name == "x:Task/set" and
                              any(arguments.get(each) for each in ("updated", "destroyed")))
    return facts, removed, domains


def check(standin, answer, explained):
    """A task for each decision to make one, and for what nobody decides none."""
    facts, removed, domains = changed_by(answer)
    new = [task for id, task in renewals(standin).items() if id not in dict(QUEUED.values())]
    explained |= {task["id"] for task in new if task["domainId"] not in domains}
    # Of a domain that is managed by hand the server makes what it will, and orders nothing.
    twins = [task["domainId"] for task in new if task["domainId"] != "g"]
    assert len(set(twins)) == len(twins), "twins"
    for domain_id in (task["domainId"] for task in new if task["due"] < days(1)):
        assert domain_id not in FRESH_ONES or facts or removed, f"{domain_id} is fresh"
        assert domain_id not in QUEUED or facts or removed, f"{domain_id} has its task"


def test_no_task_appears_that_no_decision_explains(standin):
    seeded, explained = Batches(f"{SEED} {standin.version}"), set()
    with Gate(standin.port) as gate:
        for number in range(BATCHES):
            batch = seeded.batch()
            body = seeded.written(batch)
            standin.put_state(**begin())
            plain = post(standin.port, body)
            standin.put_state(**begin())
            status, answer = post(gate.port, body)
            try:
                assert status == plain[0]
                if status == 200:
                    # What an object names twice, the server takes as two; the gate lets one go on.
                    assert seeded.repeats or shape(answer, body) == shape(plain[1], body)
                    check(standin, answer, explained)
            except (AssertionError, KeyError, TypeError):
                print(f"batch {number} of seed {SEED}: {body.decode()}\nstraight: {plain}\n"
                      f"through the gate: {status} {json.dumps(answer)}\n"
                      f"tasks: {renewals(standin)}")
                raise
    told = {line.get("id") for line in map(json.loads, gate.lines)
            if line.get("outcome") in ("forward", "schedule")}
    assert explained <= told
