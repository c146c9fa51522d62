"""What reaches the server's API and runs there, though it does not look like a request at all."""

import json
import socket

import pytest

from standin import basic
from test_gate import FRESH, certificate, state

HEAD = '{"using":["urn:ietf:params:jmap:core","urn:stalwart:jmap"],"methodCalls":['
CREATE = '["x:Task/set",{"create":{"k":{"@type":"AcmeRenewal","domainId":"b"}}},"c"]'
PLAIN = HEAD + CREATE + "]}"


def sent(port, target, body, framing=None, half=False):
    """What came back, as bytes, to a POST with exactly that target and body."""
    body = body.encode()
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        framing = framing or f"Content-Length: {len(body)}"
        connection.sendall((f"POST {target} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                            f"Authorization: {basic()}\r\n{framing}\r\n\r\n").encode() + body)
        if half:
            connection.shutdown(socket.SHUT_WR)
        connection.settimeout(3)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
                if b'"methodResponses"' in answer or b'"status"' in answer:
                    break
        except (TimeoutError, ConnectionError):
            pass
        return answer


def harmless(standin, gate, target, body, **how):
    """Through the gate a fresh domain gets no task, and whoever asks costs no order."""
    standin.put_state(**state([certificate(FRESH)]))
    sent(gate.port, target, body, **how)
    assert standin.tasks() == [], standin.log()


TARGETS = ("/jmap#x", "/jmap/#x", "/jmap//#", "/jmap/?a#b", "http://h/jmap/#x", "HTTP://H/jmap/",
           "foo://h/jmap/", "foo://h/jmap#x", "http://u@h/jmap/", "http://h:99999/jmap/",
           "http://h/jmap", "hTTps://h/jmap//x")


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_that_reaches_the_api_is_held(standin, gate, target):
    standin.put_state(**state([certificate(FRESH)]))
    sent(standin.port, target, PLAIN)
    assert len(standin.tasks()) == 1, "it does reach the server's API"
    harmless(standin, gate, target, PLAIN)


BODIES = {
    "arguments that are never closed": HEAD + '["Core/echo",{"x":1e999,"c1"],' + CREATE + "]}",
    "a wrong type, never closed": HEAD + '["x:Task/query",{"limit":"x","c1"],' + CREATE + "]}",
    "a number too large as the last": HEAD + '["Core/echo",{"x":1e999},"c1"],' + CREATE + "]}",
    "a creation id twice": HEAD + '["x:Task/set",{"create":{"k":{"@type":"AcmeRenewal","domainId":"b"},'
                           '"k":{"@type":"AcmeRenewal","domainId":"b"}}},"c"]]}',
    "@type twice, the first counts": HEAD + '["x:Task/set",{"create":{"k":{"@type":"AcmeRenewal",'
                                     '"domainId":"b","@type":"DnsManagement"}}},"c"]]}',
    "@type twice, the last is it": HEAD + '["x:Task/set",{"create":{"k":{"@type":"DnsManagement",'
                                   '"domainId":"b","@type":"AcmeRenewal"}}},"c"]]}',
    "escapes in the type": PLAIN.replace("AcmeRenewal", "\\u0041cmeRenewal"),
    "escapes in the type's key": PLAIN.replace("@type", "\\u0040type"),
    "escapes in the domain's key": PLAIN.replace("domainId", "domain\\u0049d"),
    "escapes in the creation id": PLAIN.replace('"k"', '"\\u006b"'),
    "escapes in the argument": PLAIN.replace('"create"', '"cre\\u0061te"'),
    "escapes in the method": PLAIN.replace("x:Task/set", "x:Task\\/set"),
    "a leading zero in the domain's id": PLAIN.replace('"domainId":"b"', '"domainId":"ab"'),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_body_makes_a_task_past_the_gate(standin, gate, body):
    harmless(standin, gate, "/jmap/", body)


def test_the_stand_in_reads_on_behind_an_error(standin):
    """As both versions do."""
    standin.put_state(**state([certificate(FRESH)]))
    for body in ("arguments that are never closed", "a wrong type, never closed"):
        sent(standin.port, "/jmap/", BODIES[body])
    assert len(standin.tasks()) == 2


TRUNCATED = {
    "a length that is never filled": (f"Content-Length: {len(PLAIN) + 10}", PLAIN),
    "chunks that never end": ("Transfer-Encoding: chunked", f"{len(PLAIN):x}\r\n{PLAIN}\r\n"),
    "a chunk that is cut": ("Transfer-Encoding: chunked", f"{len(PLAIN) + 10:x}\r\n{PLAIN}"),
    "a broken chunk": ("Transfer-Encoding: chunked", f"{len(PLAIN):x}\r\n{PLAIN}\r\nzz\r\n"),
    "chunk lines of bare feeds": ("Transfer-Encoding: chunked", f"{len(PLAIN):x}\n{PLAIN}\n0\n\n"),
    "a chunk size in C": ("Transfer-Encoding: chunked", f"{len(PLAIN):x}\r\n{PLAIN}\r\n0x\r\n"),
}


@pytest.mark.parametrize("framing, body", TRUNCATED.values(), ids=TRUNCATED)
@pytest.mark.parametrize("half", [False, True], ids=["open", "shut"])
def test_a_body_that_has_not_come_whole_never_goes_on(standin, gate, framing, body, half):
    """The server would run what has come."""
    standin.put_state(**state())
    sent(gate.port, "/jmap/", body, framing=framing, half=half)
    assert [entry for entry in standin.log() if "x:Task/set" in entry["body"]] == []
    assert standin.tasks() == []


def unrepeated(pairs):
    """An object, which names no key twice."""
    assert len({key for key, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


@pytest.mark.parametrize("body", [body for name, body in BODIES.items() if "twice" in name],
                         ids=[name for name in BODIES if "twice" in name])
def test_no_key_goes_on_twice(standin, gate, body):
    """Which one counts differs by the key: of two creation ids the server makes both."""
    standin.put_state(**state())
    sent(gate.port, "/jmap/", body)
    for entry in standin.log():
        json.loads(entry["body"], object_pairs_hook=unrepeated)
    assert len(standin.tasks()) <= 1
