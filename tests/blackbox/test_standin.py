"""The stand-in against recordings of the real server: the same requests, the same answers.

Answers are compared whole, after a translation: ids, times, key material, and the few names that
the recorded machine happened to have. Ids are translated one to one, so that two which are the same
in the recording must be the same here; ids that an answer made known are used in later requests.
"""

import base64
import calendar
import http.client
import json
import os
import re
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from certificates import Authority
from standin import PROVIDER, VERSIONS, Standin, basic
from waiting import wait_until

RECORDINGS = Path(__file__).resolve().parents[1] / "recordings"
ID = re.compile(r"\bjp1[a-z0-9]{9}\b")
TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SECONDS = re.compile(r"Retry after \d+ seconds")
#: Times that the client chose or that the server never changes: compared as they are.
KEPT_TIMES = re.compile(r"^(2027-0[56]-0[123]T00:00:00Z|9999-.*|0001-.*)$")


def load(version):
    return json.loads((RECORDINGS / f"{version}.json").read_text())


def find_objects(exchanges, method):
    """All objects that answers to a /get show, the first sight of each."""
    seen = {}
    for exchange in exchanges:
        body = exchange["response"].get("body")
        if not isinstance(body, dict):
            continue
        for name, arguments, _ in body.get("methodResponses", []):
            for item in arguments.get("list", []) if name == method else []:
                seen.setdefault(item["id"], item)
    return seen


def answers(exchanges, name):
    (found,) = [each for each in exchanges if each["name"] == name]
    return [arguments for _, arguments, _ in found["response"]["body"]["methodResponses"]]


def later(time_text, seconds):
    stamp = time.strptime(time_text, "%Y-%m-%dT%H:%M:%SZ")
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(calendar.timegm(stamp) + seconds))


def state_for(exchanges):
    """The state that the recorded server was in, as far as its answers show it.

    Tasks that are listed but never shown get a time between their neighbours'.
    """
    started = [e for e in exchanges if e["name"] == "set-create-due"][0]
    now = started["response"]["body"]["methodResponses"][1][1]["list"][0]["status"]["createdAt"]
    listed, shown = answers(exchanges, "task-query-type")
    tasks = {task["id"]: task for task in shown["list"]}
    descending = [task["id"] for task in shown["list"]]
    why = next(e["why"] for e in exchanges if e["name"] == "task-query-anchor-None")
    ascending = re.findall(ID, why)
    ascending += [
        each for each in answers(exchanges, "task-query-sorted")[0]["ids"] if each not in ascending
    ]
    below = answers(exchanges, "task-query-dueIsLessThan")[0]["ids"]
    earliest = later(now, 3 * 86400)
    for place, each in enumerate(ascending):
        if each not in tasks:
            tasks[each] = Standin.task("b", later(earliest, place), id=each)
    latest = tasks[below[0]]["due"] if below[0] in tasks else later(now, 8 * 86400)
    for place, each in enumerate(below):
        if each not in tasks:
            tasks[each] = Standin.task("b", later(latest, -place), id=each)
    while len(tasks) < listed["total"]:
        extra = f"jp172{len(tasks):07d}".replace("8", "a").replace("4", "b")
        extra = extra.replace("5", "c").replace("6", "d")
        tasks[extra] = Standin.task("b", later(now, 4 * 86400 + len(tasks)), id=extra)
    assert all(each in tasks for each in descending)

    domain = Standin.domain("b", "example.org")
    domains = [domain]
    if any(task["domainId"] == "c" for task in tasks.values()):
        domains.append({"id": "c", "name": "other.test"})
    (provider,) = find_objects(exchanges, "x:AcmeProvider/get").values()
    domain["certificateManagement"]["acmeProviderId"] = provider["id"]
    return {
        "now": now,
        "domains": domains,
        "providers": [provider],
        "certificates": list(find_objects(exchanges, "x:Certificate/get").values()),
        "tasks": list(tasks.values()),
        # The CA of the recording had nothing left for the domain's names.
        "ca": {"refuse": True, "refuse_seconds": 604500, "count_stored": False},
    }


class Translator:
    """Makes the recorded and the present answer comparable."""

    def __init__(self):
        self.present = {}
        self.recorded = {}

    def learn(self, recorded, present):
        """Two ids in the same place stand for each other from now on."""
        assert self.present.setdefault(recorded, present) == present, "an id changed"
        assert self.recorded.setdefault(present, recorded) == recorded, "two ids became one"

    def walk(self, recorded, present):
        """Both with ids, times and key material of the same place made the same."""
        if isinstance(recorded, dict) and isinstance(present, dict):
            result = ({}, {})
            keys = list(present)
            for key, value in recorded.items():
                other = key
                if key not in present and ID.fullmatch(key):
                    other = self.present.get(key, key)
                if other not in keys:
                    result[0][key] = value
                    continue
                keys.remove(other)
                result[0][key], result[1][key] = self.walk(value, present[other])
            result[1].update({key: present[key] for key in keys})
            return result
        if isinstance(recorded, list) and isinstance(present, list):
            pairs = [self.walk(a, b) for a, b in zip(recorded, present)]
            rest = len(pairs)
            return (
                [a for a, _ in pairs] + recorded[rest:],
                [b for _, b in pairs] + present[rest:],
            )
        if isinstance(recorded, str) and isinstance(present, str):
            return self.text(recorded, present)
        return recorded, present

    def text(self, recorded, present):
        if ID.fullmatch(recorded) and ID.fullmatch(present):
            self.learn(recorded, present)
            return recorded, recorded
        if recorded.startswith("-----BEGIN") and present.startswith("-----BEGIN CERTIFICATE-----"):
            return "PEM", "PEM"
        if KEPT_TIMES.match(recorded):
            return recorded, present
        blur = lambda text: SECONDS.sub("Retry after N seconds", TIME.sub("TIME", text))
        return blur(recorded), blur(present)

    def request(self, text):
        return ID.sub(lambda match: self.present.get(match.group(), match.group()), text)


def credentials(headers, name):
    user = re.fullmatch(r"Basic <(\w+)>", headers.get("Authorization", "")).group(1)
    return basic(user, "wrong" if name == "unauthorized" else "secret")


def ask(server, exchange, translator):
    request = exchange["request"]
    body = request.get("body")
    if body is not None:
        body = body if isinstance(body, str) else json.dumps(body)
        body = translator.request(body).encode()
    headers = dict(request["headers"])
    if "Authorization" in headers:
        headers["Authorization"] = credentials(headers, exchange["name"])
    return server.request(request["method"], request["path"], body, headers.items())


def selected(headers):
    """The fields that a client acts on, in order."""
    wanted = ("content-type", "www-authenticate", "location", "cache-control")
    return [[name.lower(), value] for name, value in headers if name.lower() in wanted]


def steps(version):
    return [e for e in load(version) if e["name"] not in ("websocket", "eventsource")]


@pytest.mark.parametrize("version", VERSIONS)
def test_recording(version):
    """Every exchange of the recording, in order, on one server."""
    translator = Translator()
    differences = []
    with Standin(version, state_for(load(version))) as server:
        for exchange in steps(version):
            if exchange["name"] == "set-create-now-after-2s":
                server.run()
            response = ask(server, exchange, translator)
            expected = exchange["response"]
            present = response.body.decode()
            if isinstance(expected["body"], (dict, list)):
                present = json.loads(present)
            recorded, present = translator.walk(expected["body"], present)
            for what, want, got in (
                ("status", expected["status"], response.status),
                ("headers", selected(expected["headers"]), selected(response.headers)),
                ("body", recorded, present),
            ):
                if want != got:
                    differences.append(
                        f"{exchange['name']}: {what}\n  recorded {want}\n  present  {got}"
                    )
    assert not differences, "\n".join(differences)


class Frames:
    """As much of a WebSocket client as the recording needs."""

    def __init__(self, server, user="admin"):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            (
                f"GET /jmap/ws HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(user)}\r\n"
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: jmap\r\n\r\n"
            ).encode()
        )
        self.file = self.socket.makefile("rb")
        self.head = []
        while (line := self.file.readline().strip()):
            self.head.append(line.decode())

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        size = struct.pack("!BBH", 0x81, 0xFE, len(data))
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.socket.sendall(size + mask + masked)

    def receive(self):
        _, length = self.file.read(2)
        if length == 126:
            (length,) = struct.unpack("!H", self.file.read(2))
        return json.loads(self.file.read(length))

    def close(self):
        self.file.close()
        self.socket.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_websocket(version):
    recorded = next(e for e in load(version) if e["name"] == "websocket")["response"]
    with Standin(version, state_for(load(version))) as server:
        frames = Frames(server)
        assert frames.head[0].startswith("HTTP/1.1 101")
        assert "sec-websocket-protocol: jmap" in [line.lower() for line in frames.head]
        for message, answer in recorded["messages"]:
            frames.send(json.dumps(message))
            if answer is not None:
                assert frames.receive() == answer
        frames.close()


def test_websocket_misnames_created_ids(standin):
    standin.put_state(**one_domain())
    frames = Frames(standin)
    frames.send(json.dumps({"@type": "Request", "using": [], "createdIds": {"d": "b"},
                            "methodCalls": [], "id": "R"}))
    answer = frames.receive()
    assert answer["created_ids"] == {"d": "b"} and "createdIds" not in answer
    frames.close()


@pytest.mark.parametrize("frame", [
    b"\x88\x82\0\0\0\0\x03\xe8",
    b"\x88\x80\0\0\0\0",
    b"\x81\x02{}",
    b"\xc1\x82\0\0\0\0{}",
    b"\x83\x80\0\0\0\0",
    b"\x80\x80\0\0\0\0",
    b"\x81\x81\0\0\0\0\xff",
    b"\x09\x80\0\0\0\0",
    b"\x89\xfe\0\x7e\0\0\0\0" + b"x" * 126,
    b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0",
], ids=["close", "close without a code", "not masked", "reserved bit", "unknown", "no beginning",
        "no text", "ping in pieces", "long ping", "begun twice"])
def test_websocket_ends_without_a_word(standin, frame):
    """Whether a client closes or breaks the protocol: the server sends no close frame."""
    frames = Frames(standin)
    frames.socket.sendall(frame)
    assert frames.file.read() == b""
    frames.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_eventsource(version):
    recorded = next(e for e in load(version) if e["name"] == "eventsource")
    with Standin(version) as server:
        stream = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        stream.sendall(
            f"GET {recorded['request']['path']} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: {basic()}\r\n\r\n".encode()
        )
        received = b""
        while b"}\n\n" not in received:
            received += stream.recv(4096)
        assert b"200" in received.split(b"\r\n")[0]
        assert recorded["response"]["body"].encode() in received
        server.event("state", {"x": 1})
        received = b""
        while b"}\n\n" not in received:
            received += stream.recv(4096)
        assert b'event: state\ndata: {"x":1}\n\n' in received
        stream.close()


# What no recording shows: the queue and the CA.

NOW = "2026-11-23T12:00:00Z"
DAY = 86400


def one_domain(**more):
    return {"now": NOW, "frozen": True, "domains": [Standin.domain("b", "example.org")], **more}


def statuses(server):
    return [task["status"]["@type"] for task in server.tasks()]


def test_renewal_and_its_next(standin):
    standin.put_state(**one_domain())
    made = standin.create("b")
    assert standin.run() == 1
    assert standin.post([["x:Task/get", {"ids": [made]}, "0"]])[0][1]["notFound"] == [made]
    (cert,) = standin.state()["certificates"]
    assert cert["subjectAlternativeNames"] == {"mail.example.org": True}
    assert (cert["notValidBefore"], cert["notValidAfter"]) == (NOW, later(NOW, 90 * DAY - 1))
    (task,) = standin.tasks()
    assert task["due"] == later(NOW, 60 * DAY - 1)
    assert standin.counters()["orders_by_names"] == {"mail.example.org": 1}


def test_create_while_fresh(standin):
    """The older version orders again; the newer leaves a Failed task for each create."""
    standin.put_state(**one_domain())
    standin.create("b")
    standin.run()
    standin.create("b")
    standin.create("b")
    standin.run()
    if standin.version == "v0.16.5":
        assert standin.counters()["certificates"] == 3
        assert statuses(standin) == ["Pending"] * 3
    else:
        assert standin.counters()["orders"] == 1
        assert statuses(standin) == ["Pending", "Failed", "Failed"]
        assert standin.tasks()[-1]["status"]["failureReason"] == (
            "Certificate for domain example.org is still valid; renewal is not due until "
            + later(NOW, 60 * DAY - 1)
        )


def test_oldest_match_decides(standin):
    """With an older certificate that is due, both versions order although a fresh one is there."""
    old = Standin.certificate(["mail.example.org"], later(NOW, -70 * DAY), later(NOW, 20 * DAY))
    new = Standin.certificate(["mail.example.org"], later(NOW, -1 * DAY), later(NOW, 89 * DAY))
    standin.put_state(**one_domain(certificates=[old, new]))
    standin.create("b")
    standin.run()
    assert standin.counters()["certificates"] == 1
    assert len(standin.state()["certificates"]) == 3


def test_domain_set_to_automatic_while_stored(standin):
    stored = Standin.certificate(["mail.example.org"], later(NOW, -1 * DAY), later(NOW, 89 * DAY))
    domain = {"id": "b", "name": "example.org"}
    standin.put_state(now=NOW, frozen=True, domains=[domain], certificates=[stored])
    management = Standin.domain("b", "example.org")["certificateManagement"]
    change = {"update": {"b": {"certificateManagement": management}}}
    assert standin.post([["x:Domain/set", change, "0"]])[0][1]["updated"] == {"b": None}
    standin.run()
    if standin.version == "v0.16.5":
        assert statuses(standin) == ["Pending"] and standin.counters()["orders"] == 1
    else:
        assert statuses(standin) == ["Failed"] and standin.counters()["orders"] == 0


def test_twins_share_a_second(standin):
    """Five at once, then every twin becomes due in the second that the CA names."""
    if standin.version == "v0.16.18":
        issued = {"mail.example.org": [NOW] * 5}
        standin.put_state(**one_domain(ca={"orders": issued}))
        for _ in range(3):
            standin.create("b")
        standin.run()
    else:
        standin.put_state(**one_domain())
        for _ in range(8):
            standin.create("b")
        standin.run()
        assert standin.counters()["certificates"] == 5
    retries = [t["status"] for t in standin.tasks() if t["status"]["@type"] == "Retry"]
    wait = 168 * 3600 // 5 + 1
    assert [s["due"] for s in retries] == [later(NOW, wait)] * 3
    assert {s["failureReason"] for s in retries} == {f"Rate limited. Retry after {wait} seconds"}
    assert {s["attemptNumber"] for s in retries} == {1}


@pytest.mark.parametrize("form", ["date", "absent"])
def test_retry_after_that_is_lost(standin, form):
    standin.put_state(**one_domain(ca={"refuse": True, "retry_after": form}))
    standin.create("b")
    standin.run()
    (task,) = standin.tasks()
    assert task["status"]["failureReason"] == "Rate limited. Retry after some time"
    assert later(NOW, 30) <= task["due"] <= later(NOW, 90)


def test_more_attempts_than_max_retries(standin):
    status = {"attemptNumber": 10, "failureReason": "before"}
    task = Standin.task("b", NOW, "Retry", **status)
    ca = {"refuse": True, "refuse_seconds": 600000}
    standin.put_state(**one_domain(tasks=[task], ca=ca))
    standin.run()
    (task,) = standin.tasks()
    assert task["status"]["failureReason"] == "Rate limited. Retry after 600001 seconds"
    if standin.version == "v0.16.5":
        assert task["status"]["@type"] == "Failed" and task["status"]["failedAt"] == NOW
    else:
        assert task["due"] == later(NOW, 6 * 3600)


def test_tokens_come_back(standin):
    standin.put_state(**one_domain(ca={"orders": {"mail.example.org": [NOW] * 5}}))
    standin.clock(advance=168 * 3600 // 5)
    standin.create("b")
    standin.run()
    assert standin.counters()["certificates"] == 1


@pytest.mark.parametrize("due", ["1969-12-31T23:59:59Z", "3001-01-01T00:00:00Z"])
def test_times_that_the_server_does_not_read(standin, due):
    standin.put_state(**one_domain())
    assert standin.create("b", status={"@type": "Pending", "due": due}) == {
        "type": "invalidPatch", "description": "Failed to parse UTCDateTime from string",
        "properties": ["status/due"]}


def test_a_written_retry_is_the_first(standin):
    """And a patch may begin with a slash, as a JSON pointer does."""
    standin.put_state(**one_domain(tasks=[Standin.task("b", later(NOW, DAY), id="jp172aaaaaaa")]))
    whole = {"status": {"@type": "Retry", "due": later(NOW, DAY), "failureReason": "so"}}
    for patch in (whole, {"/status/due": later(NOW, 2 * DAY)}):
        change = {"update": {"jp172aaaaaaa": patch}}
        assert standin.post([["x:Task/set", change, "0"]])[0][1]["updated"]
    (task,) = standin.tasks()
    assert task["status"]["attemptNumber"] == 1 and task["due"] == later(NOW, 2 * DAY)


@pytest.mark.parametrize("ids", [None, [], ["a"], ["a", "b"]])
def test_cluster_node(standin, ids):
    """The only place where the API shows the server's own host name."""
    standin.put_state(now=NOW, frozen=True, hostname="mx.example.org")
    answer = standin.post([["x:ClusterNode/get", {"ids": ids}, "0"]])[0][1]
    assert answer["list"] == [{"nodeId": 0, "hostname": "mx.example.org", "lastRenewal": NOW,
                               "status": "active", "id": "a"}]
    assert answer["notFound"] == (ids or [])[1:]
    (short,) = standin.post([["x:ClusterNode/get", {"ids": ids, "properties": ["hostname"]}, "0"]])
    assert short[1]["list"] == [{"hostname": "mx.example.org", "id": "a"}]


@pytest.mark.parametrize("object", ["SystemSettings", "Http"])
def test_what_is_there_once_is_not_listed(standin, object):
    """Only who names it gets it."""
    method = f"x:{object}/get"
    (every,) = standin.post([[method, {"ids": None}, "0"]])
    (one,) = standin.post([[method, {"ids": ["singleton"]}, "0"]])
    assert every[1]["list"] == [] and len(one[1]["list"]) == 1


def test_nothing_comes_after_an_anchor_that_was_not_found(standin):
    times = later(NOW, -DAY), later(NOW, DAY)
    ids = [f"jp172{n}aaaaaa" for n in "abc"]
    names = ["aa.test"], ["aa.test"], ["bb.test"]
    standin.put_state(now=NOW, frozen=True, certificates=[
        Standin.certificate(name, *times, id=id) for name, id in zip(names, ids)])
    for anchor, found in ((ids[0], [ids[1]]), (ids[2], [])):
        query = {"filter": {"subjectAlternativeNames": "aa.test"}, "anchor": anchor}
        assert standin.post([["x:Certificate/query", query, "0"]])[0][1]["ids"] == found


def test_running_task(standin):
    """It reads as before, cannot be updated, and its certificate is there before it is gone."""
    standin.put_state(**one_domain(runner={"enabled": True, "order_seconds": 0.5}))
    standin.runner(gap_seconds=0.5)
    made = standin.create("b")
    wait_until(lambda: any(task["running"] for task in standin.tasks()))
    call = ["x:Task/set", {"update": {made: {"status/due": later(NOW, DAY)}}}, "0"]
    answer = standin.post([call, ["x:Task/get", {"ids": [made]}, "1"]])
    assert answer[0][1]["notUpdated"][made] == {
        "type": "forbidden",
        "description": "Task is currently being processed and cannot be updated",
    }
    assert answer[1][1]["list"][0]["status"]["@type"] == "Pending"
    wait_until(lambda: standin.state()["certificates"])
    assert made in [task["id"] for task in standin.tasks()]
    wait_until(lambda: made not in [task["id"] for task in standin.tasks()])
    assert statuses(standin) == ["Pending"]


def test_a_server_that_is_killed_while_it_orders_leaves_its_locks(standin):
    standin.put_state(**one_domain(runner={"enabled": True, "order_seconds": 600}))
    made = [standin.create("b") for _ in range(2)]
    wait_until(lambda: any(task["running"] for task in standin.tasks()))
    standin.runner(enabled=False)
    standin.kill()
    assert standin.run() == 0 and standin.state()["certificates"] == []
    answer = standin.post([["x:Task/set", {"update": {
        id: {"status/due": later(NOW, DAY)} for id in made}}, "0"]])[0][1]
    assert {why["description"] for why in answer["notUpdated"].values()} == \
        {"Task is currently being processed and cannot be updated"}
    standin.clock(advance=3601)
    assert standin.run() == 2


def test_ten_tasks_are_locked_ahead_of_the_one_that_runs(standin):
    """They cannot be updated, and one that is gone by its turn is passed over."""
    standin.put_state(**one_domain(runner={"enabled": True, "order_seconds": 600}))
    made = [standin.create("b") for _ in range(14)]
    wait_until(lambda: any(task["running"] for task in standin.tasks()))
    made.append(standin.create("b"))
    locked = {task["id"] for task in standin.tasks() if task["locked"]}
    assert len(locked) == 11
    answer = standin.post([["x:Task/set", {"update": {
        id: {"status/due": later(NOW, DAY)} for id in made}}, "0"]])[0][1]
    assert set(answer["notUpdated"]) == locked
    assert set(answer["updated"]) == set(made) - locked


def test_default_names(standin):
    settings = {"services": {"imap": {"hostname": "imap.example.org", "cleartext": False}}}
    standin.put_state(**one_domain(settings=settings) | {
        "domains": [Standin.domain("b", "example.org", names=())],
        "hostname": "mx.example.org",
    })
    standin.create("b")
    standin.run()
    (cert,) = standin.state()["certificates"]
    technical = ("mta-sts", "ua-auto-config", "autoconfig", "autodiscover")
    expected = {f"{name}.example.org" for name in technical + ("mx", "imap")}
    assert set(cert["subjectAlternativeNames"]) == expected


def test_dns_task_renews_on_success(standin):
    standin.put_state(**one_domain())
    task = {"@type": "DnsManagement", "domainId": "b", "onSuccessRenewCertificate": True}
    forbidden = standin.post([["x:Task/set", {"create": {"k": task}}, "0"]], "blind")
    assert forbidden[0][1]["notCreated"]["k"]["type"] == "forbidden"
    standin.post([["x:Task/set", {"create": {"k": task}}, "0"]])
    assert standin.run() == 2
    assert standin.counters()["certificates"] == 1


# From the server's source, crates/jmap-proto/src/references, the same in v0.16.5 and v0.16.19.
@pytest.mark.parametrize("domains, error", [
    ({"k": "#k"}, ["invalidArguments", "Cyclical references are not allowed."]),
    ({"a": "#k", "k": "#k"}, ["invalidArguments", "Cyclical references are not allowed."]),
    ({"a": "#b", "b": "#c", "c": "#a", "d": "b"},
     ["invalidArguments", "Cyclical references are not allowed."]),
    ({"a": "#e", "k": "b"},
     ["invalidResultReference", 'Invalid reference to non-existing object "e" from "a"']),
])
def test_references_that_no_call_is_run_with(standin, domains, error):
    standin.put_state(domains=[standin.domain("b", "example.org")])
    creates = {key: {"@type": "AcmeRenewal", "domainId": id} for key, id in domains.items()}
    (name, answer, _), = standin.post([["x:Task/set", {"create": creates}, "c"]])
    assert name == "error" and [answer["type"], answer["description"]] == error
    assert standin.tasks() == []


def test_only_sets_give_keys_a_meaning(standin):
    echo = ["Core/echo", {"created": {"d": {"id": "b"}}}, "e"]
    answer = standin.batch([echo, ["x:Domain/get", {"ids": ["#d"]}, "g"]], created_ids={})
    assert answer["methodResponses"][1][0] == "error" and "createdIds" not in answer


def test_what_a_renewal_rests_on_can_be_set(standin, tmp_path):
    standin.put_state(domains=[standin.domain("b", "example.org")], certificates=[
        standin.certificate(["mail.example.org"], "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z")],
        providers=[{"id": PROVIDER}], settings={"defaultHostname": ""})
    old = standin.state()["certificates"][0]["id"]
    pem, _ = Authority(tmp_path).issue("mail.example.org", "DNS:mail.example.org")
    text = {"certificate": {"@type": "Text", "value": pem.read_text()}}
    made, changed, provider, settings = (response[1] for response in standin.post([
        ["x:Certificate/set", {"create": {"k": text, "l": {}}}, "0"],
        ["x:Certificate/set", {"update": {old: text}, "destroy": ["333"]}, "1"],
        ["x:AcmeProvider/set", {"update": {PROVIDER: {"renewBefore": "R45"}}}, "2"],
        ["x:SystemSettings/set", {"update": {"singleton": {"defaultHostname": "h.test"}}}, "3"]]))
    assert list(made["created"]) == ["k"] and list(made["notCreated"]) == ["l"]
    assert changed["updated"] == {old: None} and "333" in changed["notDestroyed"]
    assert len({(cert["notValidBefore"], cert["notValidAfter"])
                for cert in standin.state()["certificates"]}) == 1
    assert provider["updated"] and standin.state()["providers"][0]["renewBefore"] == "R45"
    assert settings["updated"] and standin.state()["settings"]["defaultHostname"] == "h.test"
    (_, gone, _), = standin.post([["x:Certificate/set", {"destroy": [old]}, "4"]])
    assert gone["destroyed"] == [old] and len(standin.state()["certificates"]) == 1


@pytest.mark.parametrize("target, status", [("http://h/jmap/", 200), ("http://h#/jmap/", 404)])
def test_a_fragment_is_no_path(standin, target, status):
    fields = [("Content-Type", "application/json"), ("Authorization", basic())]
    body = json.dumps({"using": [], "methodCalls": []}).encode()
    assert standin.request("POST", target, body, fields).status == status


def test_reading_json(standin):
    """The last of two equal keys counts; escapes are read, but not everywhere."""
    standin.put_state(**one_domain())
    headers = [("Content-Type", "application/json"), ("Authorization", basic())]

    def post(text):
        body = '{"using":["urn:ietf:params:jmap:core"],"methodCalls":[%s]}' % text
        return standin.request("POST", "/jmap/", body.encode(), headers)

    task = '{"@type":"Acme\\u0052enewal","domainId":"p333333333331","domainId":"b"}'
    answer = post('["x:Task/set",{"create":{"k":%s}},"0"]' % task)
    assert "created" in answer.json()["methodResponses"][0][1]
    answer = post('["x:\\u0054ask/get",{"ids":[]},"0"]')
    if standin.version == "v0.16.5":
        assert answer.status == 400 and answer.json()["type"].endswith("notRequest")
    else:
        assert answer.json()["methodResponses"][0][0] == "x:Task/get"


def test_limits(standin):
    headers = [("Content-Type", "application/json"), ("Authorization", basic())]
    answer = standin.request("POST", "/jmap/", b" " * 10_000_001, headers)
    assert answer.status == 400 and answer.json()["limit"] == "maxSizeRequest"
    create = {str(n): {"@type": "AcmeRenewal"} for n in range(501)}
    answer = standin.post([["x:Task/set", {"create": create}, "0"]])
    assert answer[0][1]["type"] == "requestTooLarge"


def test_fewer_objects_a_call_than_most_servers(standin):
    """As the operator sets it: ids that a query has found are counted as those that are named."""
    standin.put_state(generate={"domains": 8}, max_objects=7)
    session = standin.request("GET", "/jmap/session", None,
                              [("Authorization", basic())]).json()
    core = session["capabilities"]["urn:ietf:params:jmap:core"]
    assert (core["maxObjectsInGet"], core["maxObjectsInSet"]) == (7, 7)
    found = {"#ids": {"resultOf": "q", "name": "x:Domain/query", "path": "/ids"}}
    for limit, error in (7, None), (8, "requestTooLarge"):
        answer = standin.post([["x:Domain/query", {"limit": limit}, "q"],
                               ["x:Domain/get", found, "g"]])
        assert answer[1][1].get("type") == error


def test_certificate_paging_is_turned_round_after_cutting(standin):
    """A limit keeps the oldest, which then come newest first: the registry's own way."""
    certs = [
        Standin.certificate([f"{n}.example.org"], NOW, later(NOW, DAY), id=f"jp1730000{n}a")
        for n in ("ab", "ac", "ad")
    ]
    standin.put_state(**one_domain(certificates=certs))
    by_age = [cert["id"] for cert in standin.state()["certificates"]]
    query = lambda **more: standin.post([["x:Certificate/query", more, "0"]])[0][1]["ids"]
    assert query() == by_age[::-1]
    assert query(limit=2) == by_age[1::-1]
    assert query(position=1) == by_age[:0:-1]
    assert query(filter={"subjectAlternativeNames": "ac.example.org"}) == [by_age[1]]


def test_faults(standin):
    standin.put_state(**one_domain())
    standin.fault(match="x:Task/query", method_error="forbidden", method="x:Task/query", times=1)
    call = [["x:Task/query", {}, "0"], ["x:Domain/get", {"ids": ["b"]}, "1"]]
    first, second = standin.post(call), standin.post(call)
    assert [answer[0] for answer in first] == ["error", "x:Domain/get"]
    assert [answer[0] for answer in second] == ["x:Task/query", "x:Domain/get"]
    standin.fault(status=503, body="busy", content_type="text/plain", times=1)
    answer = standin.request("GET", "/jmap/session")
    assert (answer.status, answer.body) == (503, b"busy")
    assert answer.header("content-type") == ["text/plain"]
    for how in ({"close": True}, {"truncate": True}, {"close": True, "after": True}):
        standin.fault(times=1, **how)
        with pytest.raises((OSError, http.client.HTTPException)):
            standin.create("b")
    assert len(standin.tasks()) == 2, "after: the create was done, and truncate's too"
    standin.fault(hang=True, times=1)
    threading.Timer(0.3, standin.clear_faults).start()
    with pytest.raises((OSError, http.client.HTTPException)):
        standin.request("GET", "/jmap/session")


def test_log_shows_bytes(standin):
    standin.clear_log()
    standin.request("POST", "/jmap/%2e//x?a=%20b", b"{}", [("X-Twice", "1"), ("x-twice", "2")])
    (entry,) = standin.log()
    assert (entry["method"], entry["target"]) == ("POST", "/jmap/%2e//x?a=%20b")
    assert [pair for pair in entry["headers"] if pair[0].lower() == "x-twice"] == [
        ["X-Twice", "1"],
        ["x-twice", "2"],
    ]
    assert entry["body"] == "{}"


def test_state_round_trip(standin):
    standin.put_state(**one_domain(tasks=[Standin.task("b", later(NOW, DAY))]))
    standin.create("b", status={"@type": "Failed", "failureReason": "x"})
    standin.create("b")
    standin.run()
    before = standin.state()
    standin.control("PUT", "/state", before)
    assert standin.state() == before


def test_many(standin):
    """100,000 of each, and hundreds of clients at once."""
    count = 100_000
    generate = {"domains": count, "suffix": "test", "certificate_age_days": 1, "task_due_days": 9}
    standin.put_state(generate=generate)
    ids = {"resultOf": "a", "name": "x:Domain/query", "path": "/ids"}
    by_name = {"subjectAlternativeNames": "mail.d77777.test"}
    found = standin.post(
        [
            ["x:Domain/query", {"filter": {"name": "d77777.test"}}, "a"],
            ["x:Domain/get", {"#ids": ids}, "b"],
            ["x:Certificate/query", {"filter": by_name}, "c"],
            ["x:Task/query", {"filter": {"dueIsLessThan": "2020-01-01T00:00:00Z"}}, "d"],
        ]
    )
    domain = found[1][1]["list"][0]["id"]
    assert len(found[2][1]["ids"]) == 1 and found[3][1]["ids"] == []

    def create(n):
        return standin.create(domain)

    started = time.monotonic()
    with ThreadPoolExecutor(200) as pool:
        ids = list(pool.map(create, range(400)))
    assert len(set(ids)) == 400
    assert time.monotonic() - started < 30


def test_failed_logins_ban_the_address(standin):
    standin.put_state(bans=True)
    with_field = lambda value: standin.request("POST", "/jmap/", b"{}", [("Authorization", value)])
    assert [with_field(basic("nobody", "x")).status for _ in range(100)] == [401] * 100
    answer = with_field(basic("nobody", "x"))
    assert answer.status == 429 and answer.json()["title"] == "Too Many Authentication Attempts"
    assert answer.header("Retry-After") == []
    with pytest.raises(ConnectionError):
        with_field(basic())


def test_the_hundredth_failure_counts_for_the_name_too(standin):
    """From then on one failure by that name bans whatever address it comes from."""
    standin.put_state(bans=True, http={"useXForwarded": True})
    fails = lambda *more: standin.request("GET", "/jmap/session", None, [
        ("Authorization", basic("admin", "wrong")), *more]).status
    assert [fails(("X-Forwarded-For", f"192.0.2.{i}")) for i in range(100)] == [401] * 100
    assert fails() == 429
    with pytest.raises(ConnectionError):
        fails()


def test_what_is_no_login_bans_nobody(standin):
    standin.put_state(bans=True)
    for value in ("Foo x", "Basic !", "Bearer garbage"):
        for _ in range(60):
            assert standin.request("POST", "/jmap/", b"{}", [("Authorization", value)]).status == 401
    assert standin.counters()["failed_logins"] == 0


def test_the_loopback_is_exempt_from_bans(standin):
    for _ in range(110):
        assert standin.request("GET", "/jmap/session", None,
                               [("Authorization", basic("nobody", "x"))]).status == 401
    assert standin.counters()["failed_logins"] == 110


def test_a_client_that_is_gone_before_the_101_leaves_nothing(standin):
    """A leak would be told at the stand-in's end."""
    handshake = (f"GET /jmap/ws HTTP/1.1\r\nHost: h\r\nAuthorization: {basic()}\r\n"
                 "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode()
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", standin.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(handshake)


def test_paths_of_scanners_ban_at_once(standin):
    standin.put_state(bans=True)
    assert standin.request("GET", "/not-there?x=/wp-login.php").status == 404
    assert standin.request("GET", "/blog/wp-login").status == 404
    with pytest.raises(ConnectionError):
        standin.request("GET", "/healthz/live")


UNREAD = [b"/<", b"/a`b", b"/?<", b"/x?\"", b"/\xff", b"/?a=\xc3", b"http://h:1:2/", b"http://[h/",
          b"http://a%41/", b"http://@/", b"x y".replace(b" ", b"%")]
READ = [b"/\"{}|\\^", b"/?`{}|\\^?", b"/\xc3\xa9?\xc3\xa9", b"/#<\xff", b"*", b"http://h", b"http://h?x",
        b"http://[::1]:1/", b"http://a%41:p@h:1/"]


def sent_raw(standin, target, *fields):
    head = b"\r\n".join([b"GET %s HTTP/1.1" % target, b"Host: h", b"Connection: close", *fields])
    with socket.create_connection(("127.0.0.1", standin.port), 30) as client:
        client.sendall(head + b"\r\n\r\n")
        answer = client.makefile("rb").read()
    return int(answer.split()[1])


@pytest.mark.parametrize("target", UNREAD)
def test_targets_that_cannot_be_read(standin, target):
    assert sent_raw(standin, target) == 400
    assert standin.counters()["malformed_requests"] == 1


@pytest.mark.parametrize("target", READ)
def test_targets_that_can_be_read(standin, target):
    assert sent_raw(standin, target) == 404
    assert standin.counters()["malformed_requests"] == 0


def test_a_hundred_fields_are_read_and_no_more(standin):
    fields = [b"X: y"] * 98
    assert sent_raw(standin, b"/healthz/live", *fields) == 200
    assert sent_raw(standin, b"/healthz/live", b"X: y", *fields) == 431


def test_the_longest_target(standin):
    assert sent_raw(standin, b"/" + b"y" * 65533) == 404
    assert sent_raw(standin, b"/" + b"y" * 65534) == 414


def test_malformed_requests_ban_the_address(standin):
    standin.put_state(bans=True)
    assert [sent_raw(standin, b"/<") for _ in range(31)] == [400] * 31
    with pytest.raises(ConnectionError):
        standin.request("GET", "/healthz/live")


def test_malformed_requests_ban_nobody_where_addresses_are_forwarded(standin):
    standin.put_state(bans=True, http={"useXForwarded": True})
    assert {sent_raw(standin, b"/<") for _ in range(40)} == {400}


def raw_post(standin, text, target="/jmap/"):
    return standin.request("POST", target, text.encode(), [
        ("Authorization", basic()), ("Content-Type", "application/json")])


CREATES = '{"using":["urn:stalwart:jmap"],"methodCalls":[["x:Task/set",{"create":{%s}},"c"]]}'
RENEWALS = '{"@type":"AcmeRenewal","domainId":"b"}'


def test_a_creation_id_that_stands_twice_makes_both(standin):
    """As seen: duplicates are not looked for, and the answer names one."""
    standin.put_state(**one_domain())
    answer = raw_post(standin, CREATES % f'"k":{RENEWALS},"k":{RENEWALS},"l":{RENEWALS}').json()
    created = answer["methodResponses"][0][1]["created"]
    tasks = [task["id"] for task in standin.tasks()]
    assert len(tasks) == 3 and set(created) == {"k", "l"}
    assert {each["id"] for each in created.values()} < set(tasks)


@pytest.mark.parametrize("types, kind", [
    ('"@type":"AcmeRenewal","@type":"DkimManagement"', "AcmeRenewal"),
    ('"@type":"DkimManagement","@type":"AcmeRenewal"', "DkimManagement")])
def test_the_first_type_counts(standin, types, kind):
    standin.put_state(**one_domain())
    raw_post(standin, CREATES % f'"k":{{{types},"domainId":"b"}}')
    assert [task["@type"] for task in standin.state()["tasks"]] == [kind]


def test_arguments_of_a_wrong_type_that_are_never_closed(standin):
    """The rest of the call and all that follow are read where the error was."""
    standin.put_state(**one_domain())
    answer = raw_post(standin, '{"using":["urn:stalwart:jmap"],"methodCalls":['
                      '["x:Task/query",{"limit":"x","q"],'
                      '["x:Task/set",{"create":{"k":%s}},"c"]]}' % RENEWALS)
    (failed, error, one), (name, made, other) = answer.json()["methodResponses"]
    assert (failed, error["type"], one) == ("error", "invalidArguments", "q")
    assert (name, other) == ("x:Task/set", "c") and "created" in made


@pytest.mark.parametrize("target", ["/jmap#x", "/jmap/#x", "/jmap//#", "http://h/jmap/#x"])
def test_what_follows_a_number_sign_is_no_path(standin, target):
    standin.put_state(**one_domain())
    assert raw_post(standin, CREATES % f'"k":{RENEWALS}', target).status == 200
    assert len(standin.tasks()) == 1


DUE_TEXTS = {  # as seen on both versions
    "1969-12-31T23:59:59Z": None, "3001-01-01T00:00:00Z": None, "2090-01-01": None, "": None,
    "2090-01-01T00:00:60Z": None, "2090-01-01t00:00:00z": None, "2090-01-01 00:00:00Z": None,
    "2090-01-01T00:00:00.999Z": "2090-01-01T00:00:00Z", "2090-02-31T00:00:00Z": "2090-03-03T00:00:00Z",
    "2090-1-1T0:0:0Z": "2090-10-10T00:00:00Z", "2090-01-01T00:00:00": "2090-01-01T00:00:00Z",
    "2090-01-01T00:00:00+23:59": "2089-12-31T00:01:00Z",
    "2090-01-01T00:00:00Zgarbage": "2090-01-01T00:00:00Z",
    "3000-12-31T23:59:59Z": "3000-12-31T23:59:59Z",
}


@pytest.mark.parametrize("text, due", DUE_TEXTS.items())
def test_times_are_read_as_the_server_does(standin, text, due):
    standin.put_state(domains=[standin.domain("b", "example.org")])
    made = standin.create("b", status={"@type": "Pending", "due": text})
    if due is None:
        assert made["type"] == "invalidPatch"
    else:
        (_, answer, _), = standin.post([["x:Task/get", {"ids": [made]}, "0"]])
        assert answer["list"][0]["due"] == due


def test_a_task_made_for_the_epoch_poisons_every_call_that_names_it(standin):
    standin.put_state(domains=[standin.domain("b", "example.org")])
    good = standin.create("b", status={"@type": "Pending", "due": "2090-01-01T00:00:00Z"})
    bad = standin.create("b", status={"@type": "Pending", "due": "1970-01-01T00:00:00Z"})
    fails = lambda method, **args: standin.post([[method, args, "0"]])[0][1].get("type")
    assert fails("x:Task/get", ids=[good, bad]) == "serverUnavailable"
    assert fails("x:Task/set", destroy=[bad], create={
        "k": {"@type": "AcmeRenewal", "domainId": "b"}}) == "serverUnavailable"
    assert fails("x:Task/set", update={bad: {}, good: {}}) == "serverUnavailable"
    assert standin.post([["x:Task/query", {}, "0"]])[0][1]["ids"] == [good]
    assert {task["id"] for task in standin.post([["x:Task/get", {"ids": None}, "0"]])[0][1]["list"]} \
        == {good}
