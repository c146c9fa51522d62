"""Nobody gets two programs to disagree about where a message ends.

Requests that can be read in two ways end at the gate, and answers too: RFC 9112, sections 2, 3, 5,
6, 7 and 11.2, and what is publicly known of request smuggling. Behind each bad request stands a
good one: if it is served, the bad one did not close the connection.
"""

import pytest

from gate import Gate
from wire import ask, connect, gate, last_answer, read_answer, upstream  # noqa: F401

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
GET = b"GET / HTTP/1.1"
POST = b"POST /x HTTP/1.1"
CHUNKED = b"Transfer-Encoding: chunked"
REFUSED = {400, 413, 414, 431, 505}


def request_of(line, *fields, body=b"", host=b"Host: h"):
    return b"\r\n".join([line, *([host] if host else []), *fields, b"", body])


def in_chunks(body, target=b"/x"):
    return request_of(b"POST " + target + b" HTTP/1.1", CHUNKED, body=body)


FRAMINGS = {
    "two lengths": [b"Content-Length: 3", b"Content-Length: 4"],
    "one length twice": [b"Content-Length: 3", b"content-length: 3"],
    "a list of lengths": [b"Content-Length: 3, 3"],
    "length, then chunked": [b"Content-Length: 6", CHUNKED],
    "chunked, then length": [CHUNKED, b"Content-Length: 4"],
    "xchunked": [b"Transfer-Encoding: xchunked"],
    "chunked twice": [CHUNKED, CHUNKED],
    "chunked, then identity": [CHUNKED, b"Transfer-Encoding: identity"],
    "a list of chunked": [b"Transfer-Encoding: chunked, chunked"],
    "gzip, chunked": [b"Transfer-Encoding: gzip, chunked"],
    "identity": [b"Transfer-Encoding: identity"],
    "a coding in quotes": [b"Transfer-Encoding: \"chunked\""],
    "a coding with a parameter": [b"Transfer-Encoding: chunked;q=1"],
    "a coding and a comma": [b"Transfer-Encoding: chunked,"],
    "a coding behind a vertical tab": [b"Transfer-Encoding: \x0bchunked"],
    "a coding in a folded line": [b"Transfer-Encoding:\r\n chunked"],
    "no coding": [b"Transfer-Encoding:"],
    "a space before the colon": [b"Transfer-Encoding : chunked"],
    "a coding behind a bare LF": [b"X: y\nTransfer-Encoding: chunked"],
    "a coding behind a bare CR": [b"X: y\rTransfer-Encoding: chunked"],
    **{f"length {value}": [b"Content-Length: " + value.encode()]
       for value in ("+3", "-3", "0x3", "", "3 4", "3.0", "3;", "\"3\"", "99999999999999999999",
                     "18446744073709551619", "9223372036854775808")},
}
HEADS = {
    "bare LF": b"GET / HTTP/1.1\nHost: h\n\n",
    "one bare LF": b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
    "NUL in a value": request_of(GET, b"X: a\0b"),
    "CR in a value": request_of(GET, b"X: a\rb"),
    "a control character in a value": request_of(GET, b"X: a\x01b"),
    "DEL in a value": request_of(GET, b"X: a\x7fb"),
    "NUL in a name": request_of(GET, b"X\0: b"),
    "a folded line": request_of(GET, b"X: a", b" z"),
    "a folded first line": request_of(GET, b" X: a", host=None),
    "a space before the colon": request_of(GET, b"X : y"),
    "no token": request_of(GET, b"X(: y"),
    "a name that is not ASCII": request_of(GET, b"X\xe4: y"),
    "no name": request_of(GET, b": y"),
    "no colon": request_of(GET, b"Xy"),
    "two hosts": request_of(GET, b"Host: h"),
    "no host": request_of(GET, host=None),
    "a list of hosts": request_of(GET, host=b"Host: h, i"),
    "a host with a path": request_of(GET, host=b"Host: h/x"),
    "a host with a user": request_of(GET, host=b"Host: u@h"),
    "another host in the target": request_of(b"GET http://i/ HTTP/1.1"),
    "a host that only begins alike": request_of(b"GET http://h.example/ HTTP/1.1"),
    "a space in the target": request_of(b"GET /a b HTTP/1.1"),
    "a tab in the target": request_of(b"GET /a\tb HTTP/1.1"),
    "two spaces": request_of(b"GET  / HTTP/1.1"),
    "a target that is no path": request_of(b"GET x HTTP/1.1"),
    "a target of another scheme": request_of(b"GET ftp://h/ HTTP/1.1"),
    "CONNECT": request_of(b"CONNECT h:80 HTTP/1.1"),
    "a method that is no token": request_of(b"G(T / HTTP/1.1"),
    "HTTP/0.9": b"GET /\r\n",
    "HTTP/0.9 by name": request_of(b"GET / HTTP/0.9"),
    "HTTP/2.0": request_of(b"GET / HTTP/2.0"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http/1.1": request_of(b"GET / http/1.1"),
    "HTTP/1.1x": request_of(b"GET / HTTP/1.1x"),
    "HTTP/01.1": request_of(b"GET / HTTP/01.1"),
    "HTTP/1.0 in chunks": request_of(b"POST / HTTP/1.0", CHUNKED, b"Connection: keep-alive",
                                     body=b"0\r\n\r\n"),
    "a large field": request_of(GET, b"X: " + b"y" * 33000),
    "a huge field": request_of(GET, b"X: " + b"y" * 70000),
    "a huge target": request_of(b"GET /" + b"y" * 70000 + b" HTTP/1.1"),
    "a host in brackets that is no address": request_of(b"GET http://[h]/ HTTP/1.1",
                                                        host=b"Host: [h]"),
    "91 fields": request_of(GET, *[b"X: y"] * 90),
    "500 fields": request_of(GET, *[b"X-%d: y" % i for i in range(500)]),
    "5,000 fields": request_of(GET, *[b"X-%d: y" % i for i in range(5000)]),
    "5,000 empty fields": request_of(GET, *[b"X:"] * 5000),
}
CHUNKS = {
    "0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "negative": b"-3\r\nabc\r\n0\r\n\r\n",
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "no digit": b"g\r\nabc\r\n0\r\n\r\n",
    "too large to count": b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "a space before": b" 3\r\nabc\r\n0\r\n\r\n",
    "a space behind": b"3 \r\nabc\r\n0\r\n\r\n",
    "a bare LF": b"3\nabc\n0\n\n",
    "a bare CR": b"3\rabc\r\n0\r\n\r\n",
    "a bare LF behind the content": b"3\r\nabc\n0\r\n\r\n",
    "a bare LF at the end": b"3\r\nabc\r\n0\r\n\n",
    "more than its size": b"3\r\nabcd\r\n0\r\n\r\n",
    "an extension": b"3;a=b\r\nabc\r\n0\r\n\r\n",
    "an extension with a bare CR": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "an extension with a bare LF": b"3;a\nabc\r\n0\r\n\r\n",
    "an extension of the last": b"3\r\nabc\r\n0;a\r\n\r\n",
    "a folded trailer": b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n",
    "a trailer without a colon": b"3\r\nabc\r\n0\r\nXy\r\n\r\n",
}


def refuses(upstream, gate, request, status=REFUSED):
    """The first answer is a refusal and the connection's last, and no whole request goes on."""
    upstream.requests = []
    line = connect(gate.port)
    line.send(request)
    answer = read_answer(line)
    assert answer is not None and answer.status in status, answer
    assert answer.value(b"Connection") == b"close"
    assert line.rest() == b""
    line.close()
    assert not [seen for seen in upstream.requests if seen.whole]
    return answer


@pytest.mark.parametrize("fields", FRAMINGS.values(), ids=FRAMINGS)
@pytest.mark.parametrize("target", [b"/x", b"/jmap/"])
def test_framing_of_a_request(upstream, gate, fields, target):
    line = b"POST " + target + b" HTTP/1.1"
    refuses(upstream, gate, request_of(line, *fields, body=b"0\r\n\r\n" + SMUGGLED))


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_head_of_a_request(upstream, gate, head):
    refuses(upstream, gate, head + SMUGGLED)


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("target", [b"/x", b"/jmap/"])
def test_chunks_of_a_request(upstream, gate, body, target):
    refuses(upstream, gate, in_chunks(body + SMUGGLED, target))


@pytest.mark.parametrize("noise", [
    bytes.fromhex("16030100c8010000c40303") + b"\0" * 190, b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET\x0b/ HTTP/1.1\r\nHost: h\r\n\r\n", b"\0" + SMUGGLED,
], ids=["TLS", "NUL in the target", "no space", "NUL first"])
def test_what_is_not_http_gets_no_answer(upstream, gate, noise):
    upstream.requests = []
    line = connect(gate.port)
    line.send(noise)
    assert line.rest() == b"" and not upstream.requests
    line.close()


@pytest.mark.parametrize("before", [b"", b"GET /one HTTP/1.1\r\nHost: h\r\n\r\n"],
                         ids=["the first", "one behind another"])
@pytest.mark.parametrize("count", range(4))
def test_empty_lines_before_a_request(upstream, gate, before, count):
    """One is skipped (RFC 9112, section 2.2); more of them end the connection, and nothing passes."""
    upstream.requests = []
    line = connect(gate.port)
    line.send(before + b"\r\n" * count + b"GET /two HTTP/1.1\r\nHost: h\r\n\r\n")
    if before:
        assert read_answer(line).status == 200
    answer = read_answer(line)
    line.close()
    assert (answer.status if answer else None) == (200 if count < 2 else None)
    targets = [request.target for request in upstream.requests]
    assert targets == [b"/one"] * bool(before) + [b"/two"] * (count < 2)


@pytest.mark.parametrize("request_bytes", [
    request_of(POST, b"Transfer-Encoding:\tchunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
    request_of(POST, b"transfer-encoding: CHUNKED", body=b"00003\r\nabc\r\n0\r\nX: y\r\n\r\n"),
    in_chunks(b"3\r\nabc\r\n0\r\nContent-Length: 999\r\nTransfer-Encoding: x\r\nHost: i\r\n\r\n"),
    request_of(POST, b"Content-Length: 003", body=b"abc"),
], ids=["a tab", "another case", "trailers that frame", "zeroes"])
def test_what_goes_on_is_framed_anew(upstream, gate, request_bytes):
    """The bytes that say where a body ends are never the client's, and no trailer becomes a field."""
    upstream.requests = []
    line = connect(gate.port)
    line.send(request_bytes + SMUGGLED)
    assert [read_answer(line).status for _ in range(2)] == [200, 200]
    line.close()
    seen, smuggled = upstream.requests
    assert (seen.body, smuggled.target) == (b"abc", b"/smuggled")
    assert seen.values(b"Host") == [b"h"] and seen.value(b"X") is None
    framing = seen.values(b"Transfer-Encoding") + seen.values(b"Content-Length")
    assert framing in ([b"chunked"], [b"3"])


# What the server's HTTP library does not read would be a malformed request of the gate's.
UNREAD = {
    "a character to be escaped": b"/<",
    "another": b"/a`b",
    "one in the query": b"/?<",
    "a quotation mark in the query": b"/x?\"",
    "a byte that is no UTF-8": b"/\xff",
    "half a character in the query": b"/?a=\xc3",
    "no host": b"http:///",
    "two ports": b"http://h:1:2/",
    "an address without an end": b"http://[::1/",
    "an address without a beginning": b"http://h]/",
    "an escape in the host": b"http://a%41/",
    "a bad path behind a host": b"http://h/<",
}


@pytest.mark.parametrize("target", UNREAD.values(), ids=UNREAD)
def test_what_the_server_does_not_read_does_not_reach_it(upstream, gate, standin, target):
    host = target[7:].split(b"/")[0] if target.startswith(b"http") else b"h"
    request = request_of(b"GET " + target + b" HTTP/1.1", host=b"Host: " + host)
    refuses(upstream, gate, request + SMUGGLED, {400})
    assert ask(standin.port, request).status == 400
    assert standin.counters()["malformed_requests"] == 1


LARGE = {
    "a target": request_of(b"GET /" + b"y" * 65534 + b" HTTP/1.1"),
    "a field": request_of(GET, b"X: " + b"y" * 400_000),
    "a head": request_of(GET, *[b"X: " + b"y" * 8000] * 50),
}


@pytest.mark.parametrize("request_bytes", LARGE.values(), ids=LARGE)
def test_what_is_too_large_for_the_server_does_not_reach_it(upstream, request_bytes):
    """Whatever the operator allows."""
    with Gate(upstream.port, MAX_HEAD=1_048_576) as gate:
        refuses(upstream, gate, request_bytes, {431})
        largest = request_of(b"GET /" + b"y" * 65533 + b" HTTP/1.1", b"X: " + b"y" * 300_000)
        assert ask(gate.port, largest).status == 200


@pytest.mark.parametrize("target", [b"/\"{}|\\^", b"/?`{}|\\^?", b"/\xc3\xa9?\xc3\xa9", b"/#<\xff", b"*",
                                    b"http://h", b"http://h?x", b"http://h:1/"])
def test_what_the_server_reads_does(standin, target):
    host = target[7:].split(b"/")[0].split(b"?")[0] if target.startswith(b"http") else b"h"
    with Gate(standin.port) as before:
        fields = [b"X: y"] * 89
        request = request_of(b"GET " + target + b" HTTP/1.1", *fields, host=b"Host: " + host)
        assert ask(before.port, request).status == 404
    assert standin.counters()["malformed_requests"] == 0


# Answers.

ANSWERS = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "one length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nab",
    "a huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nab",
    "an empty length": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nab",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + CHUNKED +
                          b"\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n" + CHUNKED + b"\r\n\r\n0\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a folded first line": b"HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 0\r\n\r\n",
    "CR in a value": b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a control character": b"HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 0\r\n\r\n",
    "a name that is no token": b"HTTP/1.1 200 OK\r\nX(: a\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nX\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"hello",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "switching unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
                         b"Connection: Upgrade\r\n\r\n",
    "a huge field": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\nContent-Length: 0\r\n\r\n",
    "a huge head": b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"y" * 1000 + b"\r\n") * 40 + b"\r\n",
    "5,000 fields": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    "5,000 interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 5000 + b"HTTP/1.1 200 OK\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "nothing": b"",
    "a bad chunk": b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n\r\ng\r\nabc\r\n0\r\n\r\n",
    "a negative chunk": b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
    "a huge chunk": b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n\r\n" + b"f" * 17 + b"\r\nabc\r\n",
    "a chunk that is longer": b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_an_answer_that_is_not_proper_http(upstream, gate, answer, method):
    """The client gets a whole 502 of the gate's own; the server's connection is of no more use."""
    used = []

    def answer_badly(line, request):
        used.append(line)
        line.send(answer)
        return answer not in (ANSWERS["half a head"], ANSWERS["nothing"])

    upstream.answer = answer_badly
    got = ask(gate.port, method + b" /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
    assert got is not None and got.status == 502, got
    assert got.value(b"Content-Type") == b"application/problem+json" and b"502" in got.body
    upstream.wait(lambda server: not set(used) & set(server.lines))
    upstream.answer = None


def test_bytes_behind_an_answer_are_nobodys_answer(upstream, gate):
    """A server's surplus must not be taken for the answer to somebody else's request."""
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" \
                      b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    for _ in range(5):
        assert ask(gate.port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").body == b"ok"
    upstream.answer = None


def test_an_answer_without_content_is_followed_by_none(upstream, gate):
    """The body of a 204, a 304 or an answer to HEAD would be read as the head of the next."""
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    for method, status in ((b"GET", b"204 No Content"), (b"GET", b"304 Not Modified"),
                           (b"HEAD", b"200 OK")):
        def answer(line, request):
            if request.target == b"/smuggled":
                line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")
            else:
                line.send(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (
                    status, len(poison), poison))

        upstream.answer = answer
        line = connect(gate.port)
        line.send(method + b" / HTTP/1.1\r\nHost: h\r\n\r\n" + SMUGGLED)
        first = last_answer(line, method)
        assert first.status == int(status[:3])
        assert first.status != 204 or first.value(b"Content-Length") is None
        assert last_answer(line).body == b"fine"
        line.close()
    upstream.answer = None
