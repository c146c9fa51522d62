"""Whoever asks the gate while its server is hostile: each is one visit, drawn from a case's chance.

A visit fails where the gate says what is no HTTP or no WebSocket, gives one caller what is another's,
or neither answers nor closes.
"""

import contextlib
import json
import os
import socket
import struct
import subprocess
import time

import frames
from hostile_server import foreign_tokens
from standin import USING, basic, binary
from wire import connect, read_answer

DOMAINS = [chr(letter) for letter in range(ord("b"), ord("m"))]
#: The last domain is the canary's alone.
CANARY = "m"
#: Seconds in which every request is over; far beyond what the gate's time-outs add up to.
PATIENCE = 90
#: A sweep asks nine times, with pauses that add up to 64 s, and waits 5 s for each answer.
COMMAND_PATIENCE = 180


class Failure(Exception):
    """What the gate has done wrong, in words."""


class Visit:
    """What a caller needs to know."""

    def __init__(self, gate, case, chance):
        self.gate, self.case, self.chance = gate, case, chance
        self.authorization = basic("case", str(case.number)).encode()

    def connect(self):
        line = connect(self.gate.port)
        line.socket.settimeout(PATIENCE)
        return contextlib.closing(line)

    def head(self, method, target, *fields):
        lines = [method + b" " + target + b" HTTP/1.1", b"Host: mail.test",
                 b"Authorization: " + self.authorization, *fields]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def post(self, body, target=b"/jmap/", *fields):
        return self.head(b"POST", target, b"Content-Type: application/json",
                         b"Content-Length: %d" % len(body), *fields) + body

    def answer(self, line, method=b"GET"):
        """The final answer; None where the connection ends instead."""
        try:
            while True:
                answer = read_answer(line, method)
                if answer is None or answer.status >= 200:
                    break
        except TimeoutError as error:
            raise Failure(f"no answer in {PATIENCE} s") from error
        except (ValueError, IndexError) as error:
            raise Failure(f"what came is no HTTP: {error}: {line.bytes[:300]}") from error
        if answer is None:
            return None
        if not 200 <= answer.status <= 999 or not answer.start.startswith(b"HTTP/1."):
            raise Failure(f"a strange status line: {answer.start[:200]}")
        if not answer.whole and not line.ended:
            raise Failure(f"cut off, and not closed: {answer.start[:200]}")
        text = answer.body + b"".join(value for _, value in answer.fields)
        if foreign_tokens(text, self.case):
            raise Failure(f"another caller's: {foreign_tokens(text, self.case)}")
        return answer

    def ask(self, request):
        with self.connect() as line:
            with contextlib.suppress(ConnectionError):
                line.send(request)
            return self.answer(line, request.split(b" ", 1)[0])


# -- requests that pass -----------------------------------------------------------------------------

def read(visit):
    """Several on one connection, some of them sent before the answers are read."""
    chance = visit.chance
    methods = [chance.choice([b"GET", b"GET", b"HEAD", b"OPTIONS", b"PROPFIND", b"DELETE"])
               for _ in range(chance.choice([1, 1, 2, 5]))]
    with visit.connect() as line, contextlib.suppress(ConnectionError):
        ahead = chance.random() < 0.5
        requests = [visit.head(method, b"/dav/%d" % i) for i, method in enumerate(methods)]
        if ahead:
            line.send(b"".join(requests))
        for method, request in zip(methods, requests):
            if not ahead:
                line.send(request)
            answer = visit.answer(line, method)
            if answer is None or line.ended or b"close" in (answer.value(b"Connection") or b""):
                return


def upload(visit):
    chance = visit.chance
    body = b"u" * chance.choice([0, 1, 1000, 70_000, 700_000])
    fields = [b"Expect: 100-continue"] if chance.random() < 0.2 else []
    target = chance.choice([b"/dav/file", b"/jmap/upload/d333333/"])
    with visit.connect() as line:
        with contextlib.suppress(ConnectionError):
            if chance.random() < 0.5:
                line.send(visit.head(b"PUT", target, b"Content-Length: %d" % len(body), *fields) +
                          body)
            else:
                line.send(visit.head(b"POST", target, b"Transfer-Encoding: chunked", *fields))
                for at in range(0, len(body), 65_536):
                    piece = body[at:at + 65_536]
                    line.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                line.send(b"0\r\n\r\n")
        visit.answer(line, b"PUT")


def session(visit):
    target = visit.chance.choice([b"/jmap/session", b"/.well-known/jmap"])
    visit.ask(visit.head(visit.chance.choice([b"GET", b"GET", b"HEAD"]), target))


def leave(visit):
    """Goes away at some point."""
    chance = visit.chance
    with visit.connect() as line, contextlib.suppress(ConnectionError):
        request = chance.choice([visit.head(b"GET", b"/dav/x"), visit.post(batch(visit))])
        line.send(request[:chance.choice([len(request), len(request), len(request) - 1])])
        line.socket.settimeout(chance.choice([0.01, 0.1, 0.5]))
        with contextlib.suppress(TimeoutError):
            line.more()
        if chance.random() < 0.5:
            line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# -- requests that are held -------------------------------------------------------------------------

def create_of(chance):
    create = {"@type": "AcmeRenewal", "domainId": chance.choice(DOMAINS + ["zz", "#d", "#e"])}
    if chance.random() < 0.3:
        create["status"] = {"@type": "Pending", "due": "2040-01-01T00:00:00Z"}
    return create


def batch(visit):
    """A batch with creates to be held, and with what makes them hard."""
    chance, calls = visit.chance, []
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        creates = {f"k{i}": create_of(chance) for i in range(chance.choice([1, 1, 3]))}
        calls.append(chance.choice([
            ["x:Task/set", {"create": creates}], ["x:Task/set", {"create": creates}],
            ["x:Task/set", {"create": creates}],
            ["x:Task/set", {"create": creates, "destroy": ["c", "d"], "update": {"e": {}}}],
            ["x:Task/get", {"ids": ["#k0", "c"]}],
            ["x:Domain/set", {"update": {chance.choice(DOMAINS): {
                "certificateManagement": {"@type": "Automatic", "acmeProviderId": "c"}}}}],
            ["x:Domain/set", {"create": {"d": {"name": "made.test"}}}],
            ["x:Task/set", {"create": {"k0": {"@type": "DnsManagement", "domainId": "b",
                                              "onSuccessRenewCertificate": True}}}],
            ["x:Task/query", {}],
            ["x:Task/get", {"#ids": {"resultOf": f"{visit.case.token}0", "name": "x:Task/query",
                                     "path": "/ids"}}],
        ]))
    document = {"using": USING, "methodCalls": [[*call, f"{visit.case.token}{i}"]
                                                for i, call in enumerate(calls)]}
    if chance.random() < 0.2:
        document["createdIds"] = {"e": "b"}
    return json.dumps(document).encode()


def renew(visit):
    target = visit.chance.choice([b"/jmap/", b"/jmap", b"/jmap//x"])
    fields = [b"Renewgate-Force: 1"] if visit.chance.random() < 0.1 else []
    with visit.connect() as line, contextlib.suppress(ConnectionError):
        for _ in range(visit.chance.choice([1, 1, 3])):
            line.send(visit.post(batch(visit), target, *fields))
            answer = visit.answer(line)
            if answer is None or line.ended or b"close" in (answer.value(b"Connection") or b""):
                return


def converse(visit):
    """Over a WebSocket; who gets nothing for a while leaves."""
    chance = visit.chance
    try:
        connection, line, _, rest = frames.handshake(
            visit.gate.port, Authorization=visit.authorization.decode())
    except (AssertionError, ConnectionError):
        return  # closed without an answer
    with frames.Peer(connection, True, rest) as peer:
        if line.split()[1] != "101":
            return
        connection.settimeout(chance.choice([0.3, 3]))
        with contextlib.suppress(EOFError, ConnectionError, TimeoutError):
            for i in range(chance.choice([1, 3])):
                document = json.loads(batch(visit))
                document |= {"@type": "Request", "id": f"{visit.case.token}r{i}"}
                peer.say(document)
                if chance.random() < 0.2:
                    peer.send(frames.PING, b"here?")
            give_up = time.monotonic() + 4
            while time.monotonic() < give_up:
                check_frame(visit, peer.frame())


def check_frame(visit, frame):
    """Of what the gate must not pass on; what a message says is between the two ends."""
    if frame.masked or frame.rsv or frame.op not in (0, 1, 2, 8, 9, 10):
        raise Failure(f"no frame of a server's: {frame}")
    if frame.op >= 8 and (not frame.final or len(frame.payload) > 125):
        raise Failure(f"no control frame: {frame}")
    if foreign_tokens(frame.payload, visit.case):
        raise Failure(f"another caller's: {frame}")


# -- commands ---------------------------------------------------------------------------------------

def command(visit):
    """What an operator types."""
    words = visit.chance.choice([["audit"], ["audit", "--json"], ["audit", "--all"],
                                 ["sweep", "--dry-run"], ["sweep", "--json"], ["--check"]])
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("RENEWGATE_")}
    environment |= visit.gate.environment
    environment["RENEWGATE_SERVICE_AUTHORIZATION"] = visit.authorization.decode()
    try:
        ended = subprocess.run([binary("renewgate"), *words], env=environment, check=False,
                               timeout=COMMAND_PATIENCE, capture_output=True, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        # A server may ask for a pause of minutes (Retry-After), and gets it.
        if {"other_status", "wrong_fields"} & {name for _, _, name in visit.case.journal}:
            return
        raise Failure(f"{words} did not end in {COMMAND_PATIENCE} s") from error
    if ended.returncode not in (0, 1, 2):
        raise Failure(f"{words} ended with {ended.returncode}:\n{ended.stderr.decode()[-4000:]}")


# -- whether all is well ----------------------------------------------------------------------------

def canary(visit):
    """With a server that is honest to it, a caller gets what it is due; a busy machine may need two."""
    for last in (False, False, True):
        answer = visit.ask(visit.head(b"GET", b"/canary"))
        fine = answer is not None and answer.status == 200 and \
            answer.body == visit.case.token.encode()
        if fine:
            break
        if last:
            raise Failure(f"an honest answer did not come through: {answer}")
    document = {"using": USING, "methodCalls": [
        ["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": CANARY}}},
         f"{visit.case.token}0"]]}
    for last in (False, False, True):
        answer = visit.ask(visit.post(json.dumps(document).encode()))
        if answer is not None and answer.status == 200 and b'"created"' in answer.body:
            break
        if last:
            raise Failure(f"an honest create was not answered: {answer}")


VISITS = [read, read, upload, session, session, leave, renew, renew, renew, renew, converse, converse]
