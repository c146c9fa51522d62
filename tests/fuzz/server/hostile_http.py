"""Answers in HTTP that a server might send and should not.

An answer is a list of steps: bytes that are sent, seconds that are waited, or one of the ends. It is
bounded in bytes and in time, so that a case is over after some seconds whatever the gate does.
"""

import gzip

from hostile_json import CONTROLS

CLOSE, RESET, KEEP = "close", "reset", "keep"
#: Longer than the gate's time-outs in these runs.
SILENCE = 2.6
#: Bytes that surely arrive in one piece.
AT_ONCE = 16_000

STATUS_LINES = [b"HTTP/1.1 abc OK", b"HTTP/1.1 99 Low", b"HTTP/1.1 1000 High", b"HTTP/1.1 -200 OK",
                b"HTTP/1.1  200 OK", b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/0.9 200 OK",
                b"HTTP/2 200 OK", b"HTTP/1.2 200 OK", b"HTTP/1.1\t200\tOK", b"http/1.1 200 OK",
                b"ICY 200 OK", b"HTTP/1.1 200 " + b"r" * 70_000, b" HTTP/1.1 200 OK",
                b"\r\nHTTP/1.1 200 OK", b"HTTP/1.1 200 \x00\x1b\x9b", b"HTTP/1.1 200OK", b"",
                b"HTTP/1.1 0200 OK", b"HTTP/1.1 000 OK", b"HTTP/1.1 +200 OK", b"SMTP 220 hello"]
LENGTHS = [b"-1", b"+3", b"1e3", b"0x10", b"99999999999999999999", b"18446744073709551616", b"",
           b"5 5", b"5, 5", b"5, 6", b"9223372036854775807", b"3;q=1", b"\x00", b"010"]
CODINGS = [b"gzip, chunked", b"chunked, chunked", b"chunked, gzip", b"xchunked", b"identity",
           b"Chunked", b"", b"\x0bchunked", b"chunked;q=1", b"gzip"]
FIELDS = [b"no colon here", b"Spaced : value", b": nameless", b"Nul: a\x00b", b"Bare: a\rb",
          b"Folded: a\r\n b\r\n\tc", b" leading: fold", b"Obs: \xff\xfe\x9b", b"Tab\t: x",
          b"Esc: \x1b[31m", b"Long: " + b"v" * 20_000, b"Longer: " + b"v" * 70_000,
          b"n" * 70_000 + b": x", b"Connection: close, X-Token, Content-Length",
          b"Connection: upgrade\r\nUpgrade: h2c", b"Trailer: X-Late", b"Keep-Alive: timeout=0",
          b"Retry-After: 99999999999999999999", b"Retry-After: -5", b"Retry-After: soon",
          b"Retry-After: Thu, 01 Jan 1970 00:00:00 GMT", b"Date: nonsense",
          b"Date: Fri, 31 Dec 9999 23:59:59 GMT", b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
          b"Content-Type: text/html", b"Content-Encoding: br", b"Content-Range: bytes 0-1/99",
          b"Location: http://elsewhere.test/\x1b", b"Alt-Svc: h3=\":443\"", b"Status: 500",
          b"Sec-WebSocket-Accept: x", b"Proxy-Authenticate: Basic", b"WWW-Authenticate: Negotiate",
          b"Set-Cookie: a=b", b"Via: " + b"1.1 hop, " * 300, b"Server: " + CONTROLS.encode()]
SIZES = [b"0x5", b"-1", b"ffffffffffffffff", b"10000000000000000", b"g", b"", b" 5", b"5 ", b"5;",
         b"0" * 100_000 + b"5", b"5;e=\"" + b"x" * 70_000 + b"\"", b"7fffffff"]
STATUSES = [200, 201, 204, 205, 206, 301, 302, 304, 400, 401, 403, 404, 407, 408, 413, 421, 429, 500,
            501, 502, 503, 504, 511, 599, 600, 999, 100, 101, 102, 103, 199]
GREETINGS = [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x15\x03\x01\x00\x02\x02\x28",
             b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"220 mail.test ESMTP\r\n", b"\x00" * 1000,
             b"<html>no head</html>", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"\r\n" * 5000,
             b"\n", b"H", b"HTTP/1.1", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"]


class Honest:
    """What the server would have answered. `has_content` is False where the method is HEAD."""

    def __init__(self, status, fields, body, has_content=True):
        self.status, self.fields, self.body, self.has_content = status, fields, body, has_content

    def changed(self, **members):
        other = Honest(self.status, list(self.fields), self.body, self.has_content)
        other.__dict__.update(members)
        return other

    @property
    def line(self):
        return b"HTTP/1.1 %d Words" % self.status

    @property
    def content(self):
        return self.body if self.has_content else b""

    def head(self, *more, line=None, end=b"\r\n"):
        lines = [self.line if line is None else line]
        lines += [b"%s: %s" % field for field in self.fields] + list(more)
        return end.join(lines) + end + end

    @property
    def length(self):
        return b"Content-Length: %d" % len(self.body)


def chunked(chance, body, extensions=False):
    out, at = [], 0
    while at < len(body):
        size = chance.choice([1, 7, 1000, 70_000]) if len(body) < 50_000 else 70_000
        piece = body[at:at + size]
        out.append(b"%x%s\r\n%s\r\n" % (len(piece), b";a=b" if extensions else b"", piece))
        at += size
    return b"".join(out)


# -- honest in HTTP ---------------------------------------------------------------------------------

def plain(chance, honest):
    """With its length, in chunks, or to the end of the connection."""
    kind = chance.randrange(4)
    if kind < 2 or honest.status in (204, 304) or honest.status < 200:
        length = () if honest.status == 204 or honest.status < 200 else (honest.length,)
        content = b"" if honest.status in (204, 304) or honest.status < 200 else honest.content
        return [honest.head(*length) + content, KEEP]
    if kind == 2:
        tail = chunked(chance, honest.body) + b"0\r\n\r\n" if honest.has_content else b""
        return [honest.head(b"Transfer-Encoding: chunked") + tail, KEEP]
    return [honest.head(b"Connection: close") + honest.content, CLOSE]


# -- and not ----------------------------------------------------------------------------------------

def ending(chance):
    return chance.choice([CLOSE, CLOSE, RESET, KEEP])


def cut(chance, honest):
    """Broken off anywhere."""
    whole = plain(chance, honest)[0]
    pause = [SILENCE] if chance.random() < 0.15 else []
    return [whole[:chance.randrange(len(whole))], *pause, chance.choice([CLOSE, RESET])]


def wrong_length(chance, honest):
    length = len(honest.body) + chance.choice([-5, -1, 1, 5, 100_000])
    if chance.random() < 0.5:
        value = chance.choice(LENGTHS)
    else:
        value = b"%d" % max(0, length)
    more = [b"Content-Length: " + value]
    if chance.random() < 0.3:
        more.insert(chance.randrange(2), honest.length)
    return [honest.head(*more) + honest.content, ending(chance)]


def wrong_coding(chance, honest):
    more = [b"Transfer-Encoding: " + chance.choice(CODINGS)]
    if chance.random() < 0.5:
        more.insert(chance.randrange(2), honest.length)
    return [honest.head(*more) + chunked(chance, honest.body) + b"0\r\n\r\n", ending(chance)]


def wrong_chunks(chance, honest):
    good = chunked(chance, honest.body, chance.random() < 0.3)
    size = chance.choice(SIZES)
    tail = chance.choice([
        lambda: good + size + b"\r\nhello\r\n0\r\n\r\n",
        lambda: good,
        lambda: good + b"0\r\n",
        lambda: good + b"0\r\nX-Late: 1\r\nContent-Length: 7\r\n\r\n",
        lambda: good + b"0\r\n" + b"X-Late: 1\r\n" * 20_000 + b"\r\n",
        lambda: good.replace(b"\r\n", b"\n") + b"0\n\n",
        lambda: good + b"5\r\nhelloXX0\r\n\r\n",
        lambda: b"".join(b"1\r\n%c\r\n" % byte for byte in honest.body[:20_000]) + b"0\r\n\r\n",
        lambda: good + b"0\r\n\r\n0\r\n\r\n",
    ])()
    return [honest.head(b"Transfer-Encoding: chunked") + tail, ending(chance)]


def wrong_line(chance, honest):
    line = chance.choice(STATUS_LINES)
    return [honest.head(honest.length, line=line) + honest.content, ending(chance)]


def wrong_fields(chance, honest):
    more = [chance.choice(FIELDS) for _ in range(chance.choice([1, 1, 2, 5]))]
    more.insert(chance.randrange(len(more) + 1), honest.length)
    end = b"\n" if chance.random() < 0.1 else b"\r\n"
    return [honest.head(*more, end=end) + honest.content, ending(chance)]


def huge_head(chance, honest):
    count, size = chance.choice([(200, 10), (20_000, 10), (3, 30_000), (1, 200_000), (64, 1000)])
    more = [b"X-%d: %s" % (i, b"v" * size) for i in range(count)]
    return [honest.head(*more, honest.length) + honest.content, ending(chance)]


def interim(chance, honest):
    """A flood of answers before the answer, or nothing but that."""
    count = chance.choice([1, 2, 50, 5_000, 50_000])
    status = chance.choice([100, 102, 103, 103, 104, 199])
    field = chance.choice([b"", b"Link: </a>\r\n", b"Content-Length: 5\r\n", b"X: " + b"y" * 2000 +
                           b"\r\n", b"Transfer-Encoding: chunked\r\n"])
    one = b"HTTP/1.1 %d Early\r\n%s\r\n" % (status, field)
    flood = one * min(count, 4_000_000 // len(one))
    rest = plain(chance, honest) if chance.random() < 0.8 else [ending(chance)]
    return [flood, *rest]


def switch(chance, honest):
    """101 that nobody has asked for."""
    return [honest.head(b"Connection: upgrade", b"Upgrade: x", line=b"HTTP/1.1 101 Switching") +
            honest.content, ending(chance)]


def other_status(chance, honest):
    """The same under another status, with the content that it may not have."""
    other = honest.changed(status=chance.choice(STATUSES))
    more = [chance.choice(FIELDS)] if chance.random() < 0.3 else []
    if other.status in (401, 429, 503) and chance.random() < 0.5:
        more.append(b"Retry-After: %d" % chance.choice([0, 1, 3, 100_000]))
    return [other.head(*more, honest.length) + honest.content, ending(chance)]


def refused(chance, honest):
    """As an honest server says no."""
    status = chance.choice([400, 401, 403, 404, 413, 429, 429, 500, 503])
    body = b'{"type":"urn:ietf:params:jmap:error:limit","status":%d}' % status
    other = honest.changed(status=status, body=body)
    return plain(chance, other)


def twice(chance, honest):
    """More behind the answer than was asked for, at once or later."""
    whole = honest.head(honest.length) + honest.content
    stray = honest.head(b"Content-Length: 3", line=b"HTTP/1.1 200 Stray") + b"bad"
    late = chance.choice([b"garbage", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\x00", stray])
    if chance.random() < 0.5:
        return [whole, 0.05, late, CLOSE]
    return [whole + chance.choice([whole, late]), ending(chance)]


def no_http(chance, honest):
    del honest
    return [chance.choice(GREETINGS), ending(chance)]


def nothing(chance, honest):
    del honest
    return [SILENCE, CLOSE] if chance.random() < 0.2 else [chance.choice([CLOSE, RESET])]


def slowly(chance, honest):
    """In small pieces, the first of them byte by byte."""
    whole = plain(chance, honest)
    data, steps = whole[0], []
    for i in range(min(60, len(data))):
        steps += [data[i:i + 1], 0.01]
    steps.append(data[60:])
    if chance.random() < 0.2:
        steps.insert(chance.randrange(len(steps)), SILENCE)
    return [*steps, whole[-1]]


def flipped(chance, honest):
    """Single bytes of it changed."""
    data = bytearray(plain(chance, honest)[0])
    for _ in range(chance.choice([1, 2, 8])):
        at = chance.randrange(min(len(data), 400))
        data[at] = chance.choice([0, 10, 13, 32, 58, 255, chance.randrange(256)])
    return [bytes(data), ending(chance)]


def packed(chance, honest):
    """A content coding nobody asked for, right, wrong, or of a thousand times the size."""
    body = chance.choice([
        lambda: gzip.compress(honest.body), lambda: honest.body,
        lambda: gzip.compress(honest.body)[:-9], lambda: gzip.compress(b" " * 10_000_000)])()
    coding = chance.choice([b"gzip", b"gzip", b"deflate", b"br", b"identity", b"gzip, gzip"])
    other = honest.changed(body=body)
    return [other.head(b"Content-Encoding: " + coding, other.length) + other.content, KEEP]


def endless(chance, honest):
    """Some megabytes of a body, without an end or beyond every limit."""
    piece = chance.choice([honest.body or b" ", b" ", b"[", b"x", b'{"a":'])
    body = (piece * (chance.choice([1_100_000, 12_000_000]) // len(piece) + 1))
    return [honest.changed(body=body).head(b"Connection: close") +
            (body if honest.has_content else b""), CLOSE]


KINDS = [cut, cut, wrong_length, wrong_length, wrong_coding, wrong_chunks, wrong_chunks, wrong_line,
         wrong_fields, wrong_fields, huge_head, interim, switch, other_status, other_status, refused,
         refused, twice, twice, no_http, nothing, slowly, flipped, flipped, packed, endless]


def hostile(chance, honest):
    """The name of what is wrong, and the steps.

    Bytes behind an answer are there together with its end, or their connection is closed behind them:
    if they came later, nobody could tell them from the answer to the next request.
    """
    kind = chance.choice(KINDS)
    steps = kind(chance, honest)
    size = sum(len(step) for step in steps[:-1] if isinstance(step, bytes))
    if steps[-1] == KEEP and kind is not interim and size > AT_ONCE:
        steps[-1] = CLOSE
    return kind.__name__, steps
