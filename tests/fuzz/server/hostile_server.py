"""A mail server that turns on whoever asks it.

It stands before the stand-in and asks that what it has been asked; now it hands the answer on, now
something made of it (hostile_json, hostile_http, hostile_frames). What becomes of a request is drawn
from the chance of the case that it belongs to, which its credential names: a user "case" whose
password is the case's number. Everything else is the gate's own.
"""

import base64
import contextlib
import http.client
import json
import random
import re
import socket
import struct
import threading
import time

import hostile_frames
import hostile_http
import hostile_json
from frames import CLOSE as CLOSING, PING, PONG, TEXT, Peer, accept_of
from standin import USING, basic
from wire import Line, read_body, read_head

#: Seconds for which it waits for the gate; longer than the gate's time-outs in these runs, but a
#: stream that comes to no end must come to one here.
PATIENCE = 4
#: Fields of the stand-in's answers that are written anew.
FRAMING = ("content-length", "transfer-encoding", "connection", "keep-alive")


class Case:
    """One caller's visit: what it draws from, and what was done to it."""

    def __init__(self, seed, number, malice):
        self.number, self.malice = number, malice
        self.chance = random.Random(f"{seed}/{number}/server")
        self.journal = []

    @property
    def token(self):
        return f"case-{self.number};"

    def turns(self):
        """Whether the next answer is a hostile one."""
        return self.chance.random() < self.malice


class Server:
    """Use as a context manager. `open_case` is called by whoever begins a case."""

    def __init__(self, standin, seed):
        self.standin, self.seed = standin, seed
        self.cases = {}
        self.background = Case(seed, "background", 0.2)
        self.faults = []  # of the fuzzer's own
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def open_case(self, number, malice):
        case = self.cases[str(number)] = Case(self.seed, number, malice)
        return case

    def case_of(self, request):
        text = (request.value(b"Authorization") or b"").partition(b" ")[2]
        with contextlib.suppress(ValueError):
            user, _, password = base64.b64decode(text).decode().partition(":")
            if user == "case":
                return self.cases.get(password, self.background)
        return self.background

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(Line(connection),), daemon=True).start()

    def _serve(self, line):
        line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.socket.settimeout(PATIENCE)
        line.standin = None
        try:
            while self._serve_one(line):
                pass
        except (OSError, ValueError, IndexError, EOFError, http.client.HTTPException):
            pass  # the gate has left, or says what nobody can read: its caller sees that
        except Exception as fault:  # pylint: disable=broad-except
            self.faults.append(repr(fault))
        finally:
            line.close()
            if line.standin is not None:
                line.standin.close()

    def _serve_one(self, line):
        request = read_head(line)
        if request is None:
            return False
        case = self.case_of(request)
        early = case.chance.random() < 0.03 and case.turns()
        if not early:
            read_body(line, request)
        honest = self._honest(line, request, case)
        if request.value(b"Upgrade") and request.target.startswith(b"/jmap/ws"):
            return self._upgrade(line, request, case)
        name, steps = self._choose(case, honest)
        case.journal.append((request.start[:80], "early" if early else "", name))
        return perform(line, steps) and not early

    def _choose(self, case, honest):
        if not case.turns():
            return "plain", hostile_http.plain(case.chance, honest)
        if case.chance.random() < 0.5 and honest.body[:1] in (b"{", b"["):
            honest.body = hostile_json.hostile(case.chance, honest.body)
            name = "json"
            if case.chance.random() < 0.8:
                return name, hostile_http.plain(case.chance, honest)
        return hostile_http.hostile(case.chance, honest)

    def _honest(self, line, request, case):
        has_content = request.method != b"HEAD"
        if not request.target.startswith((b"/jmap", b"/.well-known")) or request.value(b"Upgrade"):
            body = case.token.encode() * (1 + len(request.body) % 1000)
            return hostile_http.Honest(200, [(b"Content-Type", b"text/plain")], body, has_content)
        status, fields, body = self._ask(line, request.method.decode(), request.target.decode(),
                                         request.body, request.value(b"Content-Type"))
        return hostile_http.Honest(status, fields, body, has_content)

    def _ask(self, line, method, target, body, kind=b"application/json"):
        """What the stand-in says."""
        if line.standin is None:
            line.standin = http.client.HTTPConnection("127.0.0.1", self.standin.port, timeout=60)
        fields = {"Authorization": basic("admin")}
        if kind:
            fields["Content-Type"] = kind.decode()
        line.standin.request(method, target, body or None, fields)
        response = line.standin.getresponse()
        kept = [(name.encode(), value.encode("latin-1")) for name, value in response.getheaders()
                if name.lower() not in FRAMING]
        return response.status, kept, response.read()

    # -- WebSockets

    def _upgrade(self, line, request, case):
        chance = case.chance
        fields = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"),
                  (b"Sec-WebSocket-Protocol", b"jmap"),
                  (b"Sec-WebSocket-Accept",
                   accept_of((request.value(b"Sec-WebSocket-Key") or b"").decode()).encode())]
        if case.turns() and chance.random() < 0.5:
            chance.choice([
                lambda: fields.pop(chance.randrange(len(fields))),
                lambda: fields.append(fields[chance.randrange(len(fields))]),
                lambda: fields.append((b"Sec-WebSocket-Extensions", b"permessage-deflate")),
                lambda: fields.append((b"Content-Length", b"5")),
                lambda: fields.append((b"Transfer-Encoding", b"chunked")),
                lambda: fields.append(tuple(chance.choice(hostile_http.FIELDS[11:]).split(b": ", 1))),
            ])()
        honest = hostile_http.Honest(101, fields, b"")
        if case.turns() and chance.random() < 0.3:
            name, steps = hostile_http.hostile(chance, honest)
            case.journal.append((b"upgrade", "", name))
            return perform(line, steps)
        case.journal.append((b"upgrade", "", "101"))
        early = hostile_frames.hostile(chance, b"{}") if case.turns() and chance.random() < 0.1 else []
        return perform(line, [honest.head(), *early, hostile_http.KEEP]) and \
            self._converse(line, case)

    def _converse(self, line, case):
        peer = Peer(line.socket, False, line.bytes)
        line.socket.settimeout(PATIENCE)
        while True:
            got = peer.frame()
            if got.op == CLOSING:
                peer.send(CLOSING, got.payload)
                return False
            if got.op == PING:
                peer.send(PONG, got.payload)
            elif got.op == TEXT:
                text = self._respond(line, case, got.payload)
                if not case.turns():
                    peer.send(TEXT, text)
                    continue
                if case.chance.random() < 0.6:
                    case.journal.append((b"message", "", "json"))
                    peer.send(TEXT, hostile_json.hostile(case.chance, text))
                else:
                    case.journal.append((b"message", "", "frames"))
                    if not perform(line, hostile_frames.hostile(case.chance, text)):
                        return False

    def _respond(self, line, case, text):
        """The stand-in's answer to a message."""
        del case
        try:
            message = json.loads(text)
            body = {"using": USING, "methodCalls": message["methodCalls"]}
            if "createdIds" in message:
                body["createdIds"] = message["createdIds"]
        except (ValueError, KeyError, TypeError):
            return b'{"@type":"RequestError","type":"urn:ietf:params:jmap:error:notRequest","status":400}'
        status, _, answer = self._ask(line, "POST", "/jmap/", json.dumps(body).encode())
        answer = json.loads(answer)
        answer["@type"] = "Response" if status == 200 else "RequestError"
        if "id" in message:
            answer["requestId"] = message["id"]
        return json.dumps(answer).encode()


def perform(line, steps):
    """True where the connection goes on."""
    for step in steps:
        if isinstance(step, bytes):
            line.send(step)
        elif isinstance(step, float):
            time.sleep(step)
        elif step == hostile_http.RESET:
            line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        else:
            return step == hostile_http.KEEP
    return True


def foreign_tokens(text, case):
    """Tokens of other cases."""
    return {found for found in re.findall(rb"case-[0-9a-z]+;", text) if found != case.token.encode()}
