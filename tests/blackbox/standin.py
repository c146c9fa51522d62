"""The stand-in for the mail server, started and driven from a test.

    with Standin("v0.16.18") as server:
        server.put_state(domains=[server.domain("b", "example.org")])
        server.create("b")
        server.run()
        assert server.counters()["orders"] == 1

The control verbs are described in tests/standin/control.h.
"""

import base64
import datetime
import http.client
import json
import os
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROVIDER = "jp173noyaiqa"
# When each stand-in begins to live, however late its test is. States are written around it. Some
# seconds back: of two clocks that are one second apart the gate takes the later one.
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) - \
    datetime.timedelta(seconds=5)
VERSIONS = ("v0.16.5", "v0.16.18")
SANITIZERS = {"TSAN_OPTIONS": f"suppressions={ROOT / 'tests/tsan.supp'}"}  # nothing to other builds
USING = ["urn:ietf:params:jmap:core", "urn:stalwart:jmap"]


def binary(name):
    """A program of the build under test."""
    folder = Path(os.environ.get("RENEWGATE_BUILD", "build/debug"))
    return (folder if folder.is_absolute() else ROOT / folder) / name


def basic(user="admin", password="secret"):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Response:
    """An answer with its header fields in order and its body as bytes."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        """All values of a field."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self):
        return json.loads(self.body)


def exchange(port, method, target, body=None, headers=(), timeout=30):
    """One request over a connection of its own; exactly these fields, and Host."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Response(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


class Standin:
    def __init__(self, version="v0.16.18", state=None):
        self.version = version
        self.initial = state
        self.process = self.began = None
        self.port = self.control_port = None

    def start(self, file=None):
        """With nothing in it but its initial state, or that of a file, which is there before it
        listens; once more means on the same port."""
        self.process = subprocess.Popen(
            [binary("stalwart-standin"), "--version-like", self.version]
            + ["--listen", f"127.0.0.1:{self.port or 0}", "--control", "127.0.0.1:0"]
            + (["--state", file] if file else []),
            env={**os.environ, **SANITIZERS},
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline().split()
        assert line and line[0] == "ready", f"the stand-in did not start: {line}"
        ports = dict(word.split("=") for word in line[1:])
        self.port, self.control_port = int(ports["listen"]), int(ports["control"])
        self.began = self.began or time.time()
        lived = datetime.timedelta(seconds=int(time.time()) - int(self.began))
        self.clock(set=(NOW + lived).strftime("%Y-%m-%dT%H:%M:%SZ"))
        if self.initial is not None and not file:
            self.put_state(**self.initial)
        return self

    def stop(self):
        """Ends the process; a sanitiser's complaint or a crash shows in its status."""
        if self.process:
            self.process.terminate()
            status = self.process.wait(timeout=30)
            self.process.stdout.close()
            self.process = None
            assert status == 0, f"the stand-in ended with {status}"

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    # The API

    def request(self, method, target, body=None, headers=(), timeout=30):
        return exchange(self.port, method, target, body, headers, timeout)

    def post(self, calls, user="admin", created_ids=None, using=None):
        """A batch; the method responses."""
        return self.batch(calls, user, created_ids, using)["methodResponses"]

    def batch(self, calls, user="admin", created_ids=None, using=None):
        document = {"using": USING if using is None else using, "methodCalls": calls}
        if created_ids is not None:
            document["createdIds"] = created_ids
        headers = [("Content-Type", "application/json"), ("Authorization", basic(user))]
        response = self.request("POST", "/jmap/", json.dumps(document).encode(), headers)
        assert response.status == 200, response.body
        return response.json()

    def create(self, domain_id, user="admin", **more):
        """Creates a renewal; the id, or the set error."""
        task = {"@type": "AcmeRenewal", "domainId": domain_id, **more}
        answer = self.post([["x:Task/set", {"create": {"k": task}}, "0"]], user)[0][1]
        return answer["created"]["k"]["id"] if "created" in answer else answer["notCreated"]["k"]

    def tasks(self, kind="AcmeRenewal"):
        """All tasks of a type as the state shows them, by due time."""
        return [task for task in self.state()["tasks"] if task["@type"] == kind]

    # What a state is made of

    @staticmethod
    def domain(id, name, names=("mail",), provider=PROVIDER, **more):
        management = {"@type": "Automatic", "acmeProviderId": provider}
        management["subjectAlternativeNames"] = {each: True for each in names}
        return {"id": id, "name": name, "certificateManagement": management, **more}

    @staticmethod
    def certificate(names, begins, ends, id=None, **more):
        made = {"subjectAlternativeNames": list(names), **more}
        made |= {"notValidBefore": begins, "notValidAfter": ends}
        return made if id is None else {"id": id, **made}

    @staticmethod
    def task(domain_id, due, kind="Pending", id=None, **status):
        made = {"@type": "AcmeRenewal", "domainId": domain_id}
        made["status"] = {"@type": kind, **({"due": due} if due else {}), **status}
        return made if id is None else {"id": id, **made}

    # The control verbs

    def control(self, method, path, body=None, timeout=600):
        data = None if body is None else json.dumps(body).encode()
        response = exchange(self.control_port, method, path, data, timeout=timeout)
        assert response.status == 200, response.body
        return response.json()

    def state(self):
        return self.control("GET", "/state")

    def put_state(self, **state):
        return self.control("PUT", "/state", state)

    def add(self, **more):
        return self.control("POST", "/add", more)

    def clock(self, **change):
        """advance=seconds, set="2026-..Z", freeze=True; without any: what time it is."""
        return self.control("POST", "/clock", change)

    def run(self):
        """Runs all that is due; how many tasks that were."""
        return self.control("POST", "/run")["ran"]

    def runner(self, **settings):
        return self.control("POST", "/runner", settings)

    def kill(self, lock_seconds=3600):
        """The server dies in the middle of its work; its locks outlive it."""
        return self.control("POST", "/kill", {"lock_seconds": lock_seconds})

    def ca(self, **settings):
        return self.control("POST", "/ca", settings)

    def counters(self):
        return self.control("GET", "/counters")

    def reset_counters(self):
        return self.control("POST", "/counters/reset")

    def fault(self, **fault):
        return self.control("POST", "/faults", fault)

    def faults(self):
        """Each with how many requests have met it."""
        return self.control("GET", "/faults")

    def clear_faults(self):
        return self.control("DELETE", "/faults")

    def log(self):
        return self.control("GET", "/log")

    def clear_log(self):
        return self.control("DELETE", "/log")

    def event(self, event, data):
        return self.control("POST", "/event", {"event": event, "data": data})
