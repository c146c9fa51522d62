"""Nobody notices the gate: what the server sees and what the client gets is the same as without it.

Each request goes straight to a recording server and through the gate. The two may differ in what
is of one connection only, in how bodies are framed, in the gate's forwarding fields towards the
server, and in Via.
"""

import contextlib
import itertools
import random
import socket
import time

import pytest

from gate import Gate
from wire import Line, ask, connect, gate, last_answer, read_answer, takes_body, upstream  # noqa: F401

ONE_HOP = {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade",
           b"proxy-connection", b"proxy-authenticate", b"proxy-authorization"}
TO_SERVER = {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"via",
             b"expect"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def end_to_end(message, own, framing):
    """The fields that must be the same on both ways, in their order."""
    named = {token.strip().lower() for value in message.values(b"connection")
             for token in value.split(b",")} - {b"host", b"content-length"}
    dropped = ONE_HOP | own | named | ({b"content-length"} if framing else set())
    return [(name, value) for name, value in message.fields if name.lower() not in dropped]


def compare(upstream, gate, request, answer=OK, reason=True):
    """Sends a request both ways; what the server saw and what came back must not differ."""
    seen, got = [], []
    for port in (upstream.port, gate.port):
        upstream.answer, upstream.requests = answer, []
        got.append(ask(port, request))
        assert got[-1] is not None, f"no answer from {port}"
        seen += upstream.requests
    assert len(seen) == 2, seen
    straight, through = seen
    reframed = straight.value(b"Transfer-Encoding") is not None
    version = straight.start.rsplit(b" ", 1)[1]
    assert through.start == straight.start.removesuffix(version) + b"HTTP/1.1"
    assert end_to_end(through, TO_SERVER, reframed) == end_to_end(straight, TO_SERVER, reframed)
    assert through.whole and through.body == straight.body
    straight, through = got
    reframed = straight.value(b"Content-Length") is None or straight.status == 204
    assert through.status == straight.status
    assert not reason or through.start == straight.start
    assert end_to_end(through, {b"via"}, reframed) == end_to_end(straight, {b"via"}, reframed)
    assert through.whole and through.body == straight.body
    assert through.values(b"Via")[-1].endswith(b"1.1 renewgate")


def request_of(line, *fields, body=b""):
    return b"\r\n".join([line, *fields, b"", body])


def chunked(*pieces, trailers=b"", extension=b""):
    chunks = [b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces]
    return b"".join(chunks) + b"0" + extension + b"\r\n" + trailers + b"\r\n"


# Requests.

@pytest.mark.parametrize("target", [
    b"/a%2fb/%C3%A4?x=%20&y", b"/a/../b/./c", b"//double//slashes/", b"/empty?", b"/?", b"/%",
    b"/a?b?c=d#fragment", b"/a;p=1/b,c", b"/\xc3\xa4?\xc3\xa4", b"/[x]/{y}|z^\"\\?`{}", b"*",
    b"http://h/x?y", b"HTTP://H/", b"https://h", b"http://h?x", b"/%00", b"/+",
    b"/" + b"long/" * 1500, b"/jmapx", b"/.well-known/acme-challenge/token", b"/?a=/../b",
])
def test_target(upstream, gate, target):
    method = b"OPTIONS" if target == b"*" else b"GET"
    compare(upstream, gate, request_of(method + b" " + target + b" HTTP/1.1", b"Host: h"))


@pytest.mark.parametrize("method", [
    b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND", b"PROPPATCH",
    b"REPORT", b"MKCALENDAR", b"MKCOL", b"COPY", b"MOVE", b"LOCK", b"UNLOCK", b"ACL", b"SEARCH",
    b"get", b"UNKNOWN", b"X-M'1!#$%&*+.^_`|~",
])
def test_method_with_and_without_a_body(upstream, gate, method):
    line = method + b" /dav/ HTTP/1.1"
    compare(upstream, gate, request_of(line, b"Host: h"))
    compare(upstream, gate, request_of(line, b"Host: h", b"Content-Length: 0"))
    compare(upstream, gate, request_of(line, b"Host: h", b"Content-Length: 3", body=b"a\0\n"))
    compare(upstream, gate, request_of(line, b"Host: h", b"Transfer-Encoding: chunked",
                                       body=chunked(b"abc", b"\r\n0\r\n\r\n")))


@pytest.mark.parametrize("fields", [
    [b"host: first.example", b"a: 1"], [b"A: 1", b"hOST: middle", b"b: 2"],
    [b"a: 1", b"Host: last:8080"], [b"Host:"], [b"Host: h", b"a:"], [b"a:", b"Host: h", b"A: "],
    [b"Host: h", b"a: 1", b"b: 2", b"A: 3", b"a: 1"],
    [b"Host: h", b"x:no space", b"y:\t tabs\tand  spaces \t", b"z: ;,:=\"'"],
    [b"Host: h", b"x: \xe4\xf6\xff\x80", b"X-M'1!#$%&*+.^_`|~: y"],
    [b"Host: h", b"X-A: x;", b"X-B: ;", b"X-C;: y"[:3] + b": y"],
    [b"Host: h", b"Accept:", b"Content-Type:", b"User-Agent:"],
    [b"Host: h", b"Accept: a", b"accept: b", b"USER-AGENT: u", b"content-type: c"],
    [b"Host: h", b"Cookie: a=b; c=d", b"Cookie: e=\"f\"", b"Authorization: Basic eDp5"],
    [b"Host: h", b"Range: bytes=0-1", b"If-None-Match: *", b"Accept-Encoding: gzip, br"],
    [b"Host: h", b"Connection: x-a, close", b"X-A: 1", b"X-B: 2"],
    [b"Host: h", b"Connection: keep-alive", b"Keep-Alive: timeout=5", b"TE: trailers"],
    [b"Host: h", b"Connection: Host", b"Upgrade-Insecure-Requests: 1"],
    [b"Host: h", b"Proxy-Connection: x", b"Proxy-Authorization: Basic eDp5", b"Trailer: X"],
    [b"Host: h", *[b"X-%d: %d" % (i, i) for i in range(88)]],
    [b"Host: h", b"Cookie: " + b"c" * 12000],
], ids=range(20))
def test_fields_of_a_request(upstream, gate, fields):
    compare(upstream, gate, request_of(b"GET / HTTP/1.1", *fields))
    compare(upstream, gate, request_of(b"PUT / HTTP/1.1", *fields, b"Content-Length: 1", body=b"x"))


@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, 131073, 1_000_000])
def test_body_of_a_request(upstream, gate, size):
    body = random.Random(size).randbytes(size)
    for method, target in ((b"PUT", b"/x"), (b"POST", b"/jmap/")):
        line = method + b" " + target + b" HTTP/1.1"
        compare(upstream, gate, request_of(line, b"Host: h", b"Content-Length: %d" % size,
                                           b"X-Last: 1", body=body))
        compare(upstream, gate, request_of(
            line, b"Host: h", b"Transfer-Encoding: chunked", b"Trailer: X-T",
            body=chunked(body[:7], body[7:], trailers=b"X-T: 1\r\n") if size > 7
            else chunked(body)))


def test_an_empty_chunked_body(upstream, gate):
    compare(upstream, gate, request_of(b"PUT /x HTTP/1.1", b"Host: h",
                                       b"Transfer-Encoding: chunked", body=chunked()))


def test_nothing_of_a_request_shows_in_the_next(upstream, gate):
    kinds = [
        GET, request_of(b"HEAD / HTTP/1.1", b"Host: h", b"X: y"),
        request_of(b"POST /jmap/ HTTP/1.1", b"Host: h", b"Content-Length: 2", body=b"{}"),
        request_of(b"PUT /x HTTP/1.1", b"Host: h", b"Content-Length: 99999", body=b"x" * 99999),
        request_of(b"PUT /y HTTP/1.1", b"Transfer-Encoding: chunked", b"Host: h",
                   body=chunked(b"abc", b"d" * 70000)),
    ]
    for pair in itertools.product(kinds, repeat=2):
        for request in pair:
            compare(upstream, gate, request, OK if request[:4] != b"HEAD" else OK[:-2])


@pytest.mark.parametrize("fields", [[b"Host: h"], [b"Host: h", b"Connection: keep-alive"]])
def test_an_old_client(upstream, gate, fields):
    """Answered in its own version, as the server does."""
    compare(upstream, gate, request_of(b"GET /x HTTP/1.0", *fields),
            OK.replace(b"HTTP/1.1", b"HTTP/1.0"))
    upstream.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"abc")
    answer = ask(gate.port, request_of(b"GET /x HTTP/1.0", *fields))
    assert answer.value(b"Transfer-Encoding") is None and answer.body == b"abc"
    assert upstream.requests[-1].value(b"Via") == b"1.0 renewgate"


def test_via_is_continued(upstream, gate):
    upstream.answer = b"HTTP/1.1 200 OK\r\nVia: 1.0 a\r\nX: y\r\nvia: 1.1 b\r\n" \
                      b"Content-Length: 0\r\n\r\n"
    answer = ask(gate.port, request_of(b"GET / HTTP/1.1", b"Host: h", b"Via: 1.1 c", b"via: 2 d"))
    assert answer.values(b"Via") == [b"1.0 a, 1.1 b, 1.1 renewgate"]
    assert upstream.requests[-1].values(b"Via") == [b"1.1 c, 2 d, 1.1 renewgate"]


# Answers.

GET = request_of(b"GET / HTTP/1.1", b"Host: h")


@pytest.mark.parametrize("fields", [
    [], [b"Date: Thu, 01 Jan 1970 00:00:00 GMT"], [b"server: s", b"date: whenever"], [b"Date:"],
    [b"X-Empty:", b"x-empty: ", b"X-Tail: a\tb  c"], [b"Set-Cookie: a=1", b"X: y", b"Set-Cookie: b=2"],
    [b"x-obs: \xe4\xf6\xff", b"X-M'1!#$%&*+.^_`|~: y", b"X-Semi: x;"],
    [b"Content-Encoding: gzip", b"ETag: \"x\"", b"Content-Type: text/html"],
    [b"Connection: X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=5"],
    [b"WWW-Authenticate: Basic realm=\"x\"", b"www-authenticate: Bearer"],
    [b"Location: http://h/\xc3\xa4"], [b"Content-Length: 2"], [b"X: " + b"y" * 12000],
    [b"X-%d: %d" % (i, i) for i in range(300)],
], ids=range(14))
def test_fields_of_an_answer(upstream, gate, fields):
    rest = [] if b"Content-Length: 2" in fields else [b"Content-Length: 2"]
    for order in (fields + rest + [b"X-Last: z"], rest + fields):
        compare(upstream, gate, GET, request_of(b"HTTP/1.1 200 OK", *order, body=b"ok"))


@pytest.mark.parametrize("body", [0, 60000, 300000])
@pytest.mark.parametrize("limit", [4096, None, 32768, 65536])
def test_the_largest_heads_both_ways(upstream, limit, body):
    """The largest of a request leaves 4 KiB for that of its answer; and the other way round."""
    most = limit or 16384
    count = min((most - 1700) // 137, 88)
    few, many = [b"X: " + b"y" * (most - 1700)], [
        b"X-%03d: %0*d" % (i, (most - 1700) // count - 77, i) for i in range(count)]
    with Gate(upstream.port, **({"MAX_HEAD": limit} if limit else {})) as gate:
        for fields, room in ((few, 3900), (many, 3900), ([b"X: " + b"y" * 2000], most - 100)):
            request = request_of(b"PUT / HTTP/1.1", b"Host: h", b"Content-Length: %d" % body, *fields,
                                 body=b"x" * body)
            rest = [b"Content-Length: 300000"]
            compare(upstream, gate, request,
                    request_of(b"HTTP/1.1 200 OK", b"X: " + b"y" * (room - 50), *rest,
                               body=b"x" * 300000))
            compare(upstream, gate, request,
                    request_of(b"HTTP/1.1 200 OK", *[b"X-%04d: %043d" % (i, i) for i in
                                                     range((room - 100) // 53)], *rest,
                               body=b"x" * 300000))


COOKIES = {"many": b"; ".join([b"a=" + b"b" * 30] * 200), "one": b"a=" + b"b" * 14000,
           "few": b"; ".join([b"a=b"] * 60)}


@pytest.mark.parametrize("cookies", COOKIES)
def test_cookies_leave_room_for_the_answer(upstream, gate, cookies):
    """They are copied by some builds of libmicrohttpd, which then refuses some that are large."""
    request = request_of(b"GET / HTTP/1.1", b"Host: h", b"Cookie: " + COOKIES[cookies])
    upstream.answer = request_of(b"HTTP/1.1 200 OK", b"X: " + b"y" * 3800, b"Content-Length: 2", body=b"ok")
    assert ask(gate.port, request).status in ((200,) if cookies == "few" else (200, 431))


@pytest.mark.parametrize("field", [b"X-%02d: %091d", b"X-%02d: %041d"], ids=["long", "short"])
@pytest.mark.parametrize("limit", [None, 32768])
def test_heads_that_are_too_large_together(upstream, limit, field):
    """There is no size at which there is neither the answer nor one that says why not."""
    most = limit or 16384
    request = request_of(b"GET / HTTP/1.1", b"Host: h", b"X: " + b"y" * (most - 1700))
    statuses = []
    with Gate(upstream.port, **({"MAX_HEAD": limit} if limit else {})) as gate:
        for room in range(3000, 6000, 50):
            fields = [field % (i, i) for i in range(room // (len(field % (1, 1)) + 2))]
            upstream.answer = request_of(b"HTTP/1.1 200 OK", *fields, b"Content-Length: 2", body=b"ok")
            statuses.append(ask(gate.port, request).status)
    assert set(statuses) == {200, 502} and statuses == sorted(statuses)


@pytest.mark.parametrize("status", [b"200 OK", b"201 Created", b"207 Multi-Status", b"301 Moved "
                                    b"Permanently", b"401 Unauthorized", b"404 Not Found",
                                    b"429 Too Many Requests", b"500 Internal Server Error",
                                    b"503 Service Unavailable", b"507 Insufficient Storage"])
def test_status(upstream, gate, status):
    compare(upstream, gate, GET, b"HTTP/1.1 " + status + b"\r\nContent-Length: 1\r\n\r\nx")


@pytest.mark.parametrize("status", [b"299 Fancy", b"200 Fine", b"413 Payload Too Large", b"404",
                                    b"404 ", b"999 \xe4", b"599 x"])
def test_a_status_keeps_its_number_where_its_words_are_not_the_standard_ones(upstream, gate, status):
    compare(upstream, gate, GET, b"HTTP/1.1 " + status + b"\r\nContent-Length: 1\r\n\r\nx",
            reason=False)


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\nETag: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n" +
    chunked(b"abc", b"d" * 70000, trailers=b"X-T: 1\r\nX-U: 2\r\n", extension=b";a=b;c=\"d\""),
], ids=range(7))
def test_framing_of_an_answer(upstream, gate, answer):
    compare(upstream, gate, GET, answer)


@pytest.mark.parametrize("fields", [[], [b"Content-Length: 5"], [b"Transfer-Encoding: chunked"]])
def test_head(upstream, gate, fields):
    compare(upstream, gate, request_of(b"HEAD / HTTP/1.1", b"Host: h"),
            request_of(b"HTTP/1.1 200 OK", *fields, b"X: y"))


@pytest.mark.parametrize("line", [b" folded", b"\tfolded: line"])
def test_an_answer_that_begins_with_a_folded_line(upstream, gate, line):
    """There is nothing that it could go on, the last field of the answer before least of all."""
    for _ in range(3):
        compare(upstream, gate, GET, OK)
        upstream.answer = b"HTTP/1.1 200 OK\r\n" + line + OK[OK.index(b"\r\n"):]
        assert ask(gate.port, GET).status == 502


@pytest.mark.parametrize("size", [0, 1, 65536, 1_000_000])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_an_answer_that_ends_with_its_connection(upstream, gate, size, version):
    body = random.Random(size).randbytes(size)

    def until_close(line, request):
        line.send(b"HTTP/" + version + b" 200 OK\r\nX: y\r\n\r\n" + body)
        return False

    compare(upstream, gate, GET, until_close, reason=False)


def test_interim_answers_are_passed_on(upstream, gate):
    upstream.answer = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n" \
                      b"link: </b>\r\nConnection: x\r\n\r\n" + OK
    for version in (b"1.1", b"1.0"):
        line = connect(gate.port)
        line.send(request_of(b"GET / HTTP/" + version, b"Host: h"))
        answers = []
        while not answers or answers[-1].status < 200:
            answers.append(read_answer(line))
        line.close()
        statuses = [answer.status for answer in answers]
        assert statuses == ([102, 103, 200] if version == b"1.1" else [200])
        if version == b"1.1":
            assert end_to_end(answers[1], {b"via"}, False) == [(b"Link", b"</a>"),
                                                               (b"link", b"</b>")]


def test_an_interim_answer_does_not_wait_for_the_answer(upstream, gate):
    heard = []

    def answer(line, request):
        line.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        upstream.wait(lambda _: heard)
        line.send(OK)

    upstream.answer = answer
    line = connect(gate.port)
    line.send(GET)
    assert read_answer(line).status == 103
    with upstream.changed:
        heard.append(True)
        upstream.changed.notify_all()
    assert read_answer(line).body == b"ok"
    line.close()


# Connections.

def test_pipelined_requests_are_answered_in_their_order(upstream, gate):
    def echo(line, request):
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                  % (len(request.target), request.target))

    upstream.answer = echo
    line = connect(gate.port)
    line.send(b"".join(request_of(b"POST /%d HTTP/1.1" % i, b"Host: h",
                                  b"Content-Length: 3", body=b"abc") for i in range(20)))
    assert [read_answer(line).body for _ in range(20)] == [b"/%d" % i for i in range(20)]
    line.close()


def test_connections_are_kept_on_both_sides(upstream, gate):
    upstream.answer, before = OK, upstream.connections
    line = connect(gate.port)
    for _ in range(20):
        line.send(GET)
        assert read_answer(line).body == b"ok"
    assert upstream.connections - before <= 1
    line.close()


def test_a_client_that_wants_its_connection_closed(upstream, gate):
    upstream.answer = OK
    line = connect(gate.port)
    line.send(request_of(b"GET / HTTP/1.1", b"Host: h", b"Connection: close"))
    answer = read_answer(line)
    assert answer.value(b"Connection") == b"close" and line.rest() == b""


def test_a_server_that_closes_its_connection_closes_no_clients(upstream, gate):
    def answer(line, request):
        line.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        return False

    upstream.answer = answer
    line = connect(gate.port)
    for _ in range(3):
        line.send(GET)
        answer = read_answer(line)
        assert answer.body == b"ok" and answer.value(b"Connection") is None
    line.close()


def test_a_request_that_is_refused_before_its_body(upstream, gate):
    before = len(upstream.requests)
    line = connect(gate.port)
    line.send(request_of(b"POST /jmap/ HTTP/1.1", b"Host: h", b"Expect: 100-continue",
                         b"Content-Length: 99999999"))
    assert read_answer(line).status == 400
    line.close()
    assert len(upstream.requests) == before


@pytest.mark.parametrize("status", [b"413 Content Too Large", b"200 OK"])
@pytest.mark.parametrize("framing", [b"Content-Length: 100000000", b"Transfer-Encoding: chunked"])
def test_an_answer_while_the_client_still_sends(upstream, gate, status, framing):
    @takes_body
    def refuse(line, request):
        line.exactly(1000)
        line.send(b"HTTP/1.1 " + status + b"\r\nX-Empty:\r\nContent-Length: 2\r\n"
                  b"Connection: close\r\n\r\nno")
        return False

    upstream.answer = refuse
    line = connect(gate.port)
    piece = b"x" * 100000
    line.send(request_of(b"PUT / HTTP/1.1", b"Host: h", framing))
    line.send(b"%x\r\n" % len(piece) + piece + b"\r\n" if b"chunked" in framing else piece)
    answer = last_answer(line)
    assert answer.status == int(status[:3]) and answer.body == b"no"
    assert answer.value(b"Connection") == b"close" and answer.value(b"X-Empty") == b""
    line.close()


@pytest.mark.parametrize("size", [2_000, 120_000])
def test_an_answer_while_the_client_still_sends_is_not_cut(upstream, gate, size):
    """However little of it the client's connection takes at once."""
    @takes_body
    def refuse(line, request):
        line.exactly(1000)
        line.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: %d\r\n"
                  b"Connection: close\r\n\r\n" % size + b"n" * size)
        return False

    upstream.answer = refuse
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    client.connect(("127.0.0.1", gate.port))
    line = Line(client)
    body = b"x" * 200_000
    line.send(request_of(b"PUT / HTTP/1.1", b"Host: h", b"Content-Length: %d" % len(body)))
    line.send(body[:1000])
    time.sleep(0.5)  # the answer comes, and nobody reads it
    with contextlib.suppress(ConnectionError):
        line.send(body[1000:])
    answer = last_answer(line)
    assert answer.status == 413 and answer.whole and answer.body == b"n" * size
    line.close()


# All of it at random.

NAMES = [b"Accept", b"accept-language", b"Cookie", b"Authorization", b"User-Agent", b"Depth",
         b"Destination", b"If-Match", b"Origin", b"Referer", b"Content-Type", b"Range", b"Overwrite"]
VALUE = bytes(range(0x21, 0x7f)) + bytes(range(0x80, 0x100)) + b"    \t"
TARGET = bytes(set(range(0x21, 0x7f)) - set(b"\"<>`")) + b"////%%??&&"
TOKEN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"
METHODS = [b"GET", b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"PROPFIND",
           b"REPORT", b"MKCALENDAR", b"QUERY", b"ZZZ"]
STATUSES = [200, 200, 201, 202, 204, 206, 207, 302, 304, 400, 401, 403, 404, 412, 423, 500, 503, 567]


def some(random, alphabet, most, least=0):
    return bytes(random.choices(alphabet, k=random.randint(least, most)))


def some_fields(random, names):
    fields = []
    for _ in range(random.randint(0, 12)):
        name = random.choice(names) if random.random() < 0.4 else b"X" + some(random, TOKEN, 20)
        if fields and random.random() < 0.15:
            name = random.choice(fields)[0].swapcase()
        fields.append((name, some(random, VALUE, random.choice([0, 5, 80, 400]))))
    if fields and random.random() < 0.2:
        fields.append((b"Connection", random.choice(fields)[0]))
    return fields


def write_fields(fields):
    return [name + b": " + value for name, value in fields]


def pieces_of(random, body):
    pieces = []
    while body:
        length = random.randint(1, len(body))
        pieces.append(body[:length])
        body = body[length:]
    return pieces


def some_request(random):
    method = random.choice(METHODS)
    fields = write_fields(some_fields(random, NAMES))
    fields.insert(random.randint(0, len(fields)), random.choice([b"Host: h", b"host: example.org:80"]))
    target = b"/" + some(random, TARGET, random.choice([5, 50, 500]))
    body = random.randbytes(random.choice([0, 1, 100, 70000])) if method != b"HEAD" else b""
    kind = random.choice(["none", "length", "chunked"]) if method != b"HEAD" else "none"
    if kind == "length":
        fields.insert(random.randint(0, len(fields)), b"Content-Length: %d" % len(body))
    elif kind == "chunked":
        fields.insert(random.randint(0, len(fields)), b"Transfer-Encoding: chunked")
        body = chunked(*pieces_of(random, body))
    else:
        body = b""
    return request_of(method + b" " + target + b" HTTP/1.1", *fields, body=body)


def some_answer(random, head_only):
    status = random.choice(STATUSES)
    fields = write_fields(some_fields(random, [b"Server", b"Set-Cookie", b"ETag", b"DAV",
                                               b"Content-Type", b"Content-Encoding", b"Location"]))
    body = random.randbytes(random.choice([0, 1, 1000, 150000]))
    kind = random.choice(["length", "chunked", "close"])
    if head_only or status in (204, 304):
        body, kind = b"", "none"
    content = body
    if kind == "length":
        fields.insert(random.randint(0, len(fields)), b"Content-Length: %d" % len(body))
    elif kind == "chunked":
        fields.insert(random.randint(0, len(fields)), b"Transfer-Encoding: chunked")
        content = chunked(*pieces_of(random, body), extension=random.choice([b"", b";x=y"]),
                          trailers=random.choice([b"", b"X-Trailer: 1\r\n"]))
    text = request_of(b"HTTP/1.1 %d Whatever" % status, *fields, body=content)

    def answer(line, request):
        line.send(text)
        return kind != "close"

    return answer


@pytest.mark.parametrize("seed", range(20))
def test_what_a_generator_comes_up_with(upstream, gate, seed):
    source = random.Random(seed)
    for _ in range(20):
        request = some_request(source)
        compare(upstream, gate, request, some_answer(source, request.startswith(b"HEAD ")),
                reason=False)
