"""Bodies pass as streams, both ways: whole, at the pace of the slower side, in little memory.

RENEWGATE_STREAM_MIB sets the size; 2048 shows what is promised. Memory is that of the release build,
since the sanitizers need more of their own.
"""

import contextlib
import os
import pathlib
import random
import select
import socket
import struct
import threading
import time
import zlib

import pytest

from gate import Gate
from standin import binary
from wire import ask, connect, gate, last_answer, read_head, takes_body, upstream  # noqa: F401

MIB = 1 << 20
SIZE = int(os.environ.get("RENEWGATE_STREAM_MIB", "256")) * MIB
MEMORY = 32 * MIB
# What may be under way at most: the gate's own 128 KiB, and what the kernel keeps for the sockets
# of both connections.
UNDER_WAY = 64 * MIB
BLOCK = random.Random(1).randbytes(MIB)
RELEASE = binary("renewgate").parent.parent / "release/renewgate"


@pytest.fixture
def lean_gate(upstream):
    """The release build, which must not have needed more memory than promised."""
    if not RELEASE.exists():
        pytest.skip("the release build is not there: make BUILD=release")
    with Gate(upstream.port, program=RELEASE) as gate:
        yield gate
        status = open(f"/proc/{gate.process.pid}/status").read()
        peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
        assert peak < MEMORY, f"{peak / MIB:.1f} MiB"


def checksum_of(size):
    checksum = 0
    for _ in range(size // MIB):
        checksum = zlib.crc32(BLOCK, checksum)
    return checksum


def take(line, size):
    """The checksum of that many bytes from a line."""
    checksum = zlib.crc32(line.bytes[:size])
    left = size - len(line.bytes[:size])
    line.bytes = line.bytes[size:]
    while left > 0:
        piece = line.socket.recv(min(left, MIB))
        assert piece, f"{left} bytes are missing"
        checksum = zlib.crc32(piece, checksum)
        left -= len(piece)
    return checksum


def take_chunks(line):
    """The checksum and the size of a chunked body."""
    checksum = total = 0
    while size := int(line.until(b"\r\n").split(b";")[0], 16):
        checksum = zlib.crc32(line.exactly(size), checksum)
        assert line.exactly(2) == b"\r\n"
        total += size
    assert line.until(b"\r\n") == b"\r\n"
    return checksum, total


def give(line, size, chunked=False):
    for _ in range(size // MIB):
        if chunked:
            line.send(b"%x\r\n" % MIB)
        line.send(BLOCK)
        if chunked:
            line.send(b"\r\n")
    if chunked:
        line.send(b"0\r\n\r\n")


def give_until_stuck(line, size):
    """Sends until the other side takes no more for a second; how much it took."""
    given = 0
    line.socket.setblocking(False)
    while given < size and select.select([], [line.socket], [], 1)[1]:
        with contextlib.suppress(BlockingIOError):
            given += line.socket.send(BLOCK[given % MIB:][:size - given])
    line.socket.settimeout(60)
    return given


def give_rest(line, given, size):
    if given < size:
        line.send(BLOCK[given % MIB:])
        give(line, (size - given) // MIB * MIB)


def accepts(upstream):
    """The server takes an upload and answers with its checksum."""
    @takes_body
    def answer(line, request):
        length = request.value(b"Content-Length")
        checksum = take_chunks(line)[0] if length is None else take(line, int(length))
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%08x" % checksum)

    upstream.answer = answer


HEADS = {"counted": b"Content-Length: %d\r\n\r\n" % SIZE, "chunked":
         b"Transfer-Encoding: chunked\r\n\r\n"}


@pytest.mark.parametrize("framing", HEADS)
def test_a_large_upload(upstream, lean_gate, framing):
    accepts(upstream)
    line = connect(lean_gate.port)
    line.send(b"PUT /jmap/upload/a/ HTTP/1.1\r\nHost: h\r\n" + HEADS[framing])
    give(line, SIZE, framing == "chunked")
    assert last_answer(line).body == b"%08x" % checksum_of(SIZE)
    line.close()


@pytest.mark.parametrize("framing", HEADS)
def test_a_large_download(upstream, lean_gate, framing):
    def answer(line, request):
        line.send(b"HTTP/1.1 200 OK\r\n" + HEADS[framing])
        give(line, SIZE, framing == "chunked")

    upstream.answer = answer
    line = connect(lean_gate.port)
    line.send(b"GET /jmap/download/x HTTP/1.1\r\nHost: h\r\n\r\n")
    assert read_head(line).status == 200
    if framing == "chunked":
        assert take_chunks(line) == (checksum_of(SIZE), SIZE)
    else:
        assert take(line, SIZE) == checksum_of(SIZE)
    line.close()


def test_a_client_that_stalls_in_a_download_stops_the_server(upstream, lean_gate):
    stuck = threading.Event()
    given = []

    def answer(line, request):
        line.send(b"HTTP/1.1 200 OK\r\n" + HEADS["counted"])
        given.append(give_until_stuck(line, SIZE))
        stuck.set()
        give_rest(line, given[0], SIZE)

    upstream.answer = answer
    line = connect(lean_gate.port)
    line.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert read_head(line).status == 200
    assert stuck.wait(60)
    assert given[0] < UNDER_WAY
    assert take(line, SIZE) == checksum_of(SIZE)
    line.close()


def test_a_server_that_stalls_in_an_upload_stops_the_client(upstream, lean_gate):
    stuck = threading.Event()

    @takes_body
    def answer(line, request):
        assert stuck.wait(60)
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%08x" % take(line, SIZE))

    upstream.answer = answer
    line = connect(lean_gate.port)
    line.send(b"PUT / HTTP/1.1\r\nHost: h\r\n" + HEADS["counted"])
    given = give_until_stuck(line, SIZE)
    assert given < UNDER_WAY
    stuck.set()
    give_rest(line, given, SIZE)
    assert last_answer(line).body == b"%08x" % checksum_of(SIZE)
    line.close()


def test_a_client_that_stalls_in_an_upload_loses_nothing(upstream, lean_gate):
    """The other request is answered meanwhile; the stalled one as soon as it goes on."""
    accepts(upstream)
    line = connect(lean_gate.port)
    line.send(b"PUT / HTTP/1.1\r\nHost: h\r\n" + HEADS["counted"])
    give(line, SIZE // 2)
    assert ask(lean_gate.port, b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").status == 200
    give(line, SIZE - SIZE // 2)
    assert last_answer(line).body == b"%08x" % checksum_of(SIZE)
    line.close()


# Who leaves.

def test_a_client_that_leaves_a_download_ends_the_servers_side(upstream, gate):
    def answer(line, request):
        line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            line.send(b"%x\r\n" % MIB + BLOCK + b"\r\n")

    upstream.answer = answer
    line = connect(gate.port)
    line.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    take(line, MIB)
    line.close()
    upstream.wait(lambda server: not server.lines)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n\r\nevent"])
def test_a_client_that_leaves_while_the_server_is_silent_ends_its_side(upstream, gate, begun,
                                                                       reset):
    def answer(line, request):
        line.send(begun)
        line.rest()  # until the gate ends the connection
        return False

    upstream.answer = answer
    before = len(upstream.requests)
    line = connect(gate.port)
    line.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    upstream.wait(lambda server: len(server.requests) > before)
    if begun:
        assert line.until(b"event")
    if reset:
        line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()
    upstream.wait(lambda server: not server.lines)


def asleep(gate):
    """Whether all of its threads wait for something."""
    stats = pathlib.Path(f"/proc/{gate.process.pid}/task").glob("*/stat")
    return all(stat.read_text().rpartition(")")[2].split()[0] == "S" for stat in stats)


def test_nobody_works_while_a_server_thinks(upstream):
    """Who has nothing to do must be seen asleep, again and again; who looks for it never is."""
    answering = threading.Event()

    def answer(line, request):
        assert answering.wait(60)
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    upstream.answer = answer
    before = len(upstream.requests)
    with Gate(upstream.port, WORKERS=1) as gate:
        lines = [connect(gate.port) for _ in range(200)]
        for line in lines:
            line.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        upstream.wait(lambda server: len(server.requests) == before + len(lines))
        give_up = time.monotonic() + 30
        looks = 0  # that saw it asleep, one after the other
        while looks < 100 and time.monotonic() < give_up:
            looks = looks + 1 if asleep(gate) else 0
        assert looks == 100
        answering.set()
        for line in lines:
            assert last_answer(line).body == b"done"
            line.close()


@pytest.mark.parametrize("framing", [b"Content-Length: 100000000", b"Transfer-Encoding: chunked"])
def test_a_client_that_leaves_an_upload_leaves_half_a_request(upstream, gate, framing):
    """Never one that the server could take for whole."""
    before = len(upstream.requests)
    upstream.answer = None
    line = connect(gate.port)
    line.send(b"PUT / HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n186a0\r\n" + b"x" * 100000)
    upstream.wait(lambda server: server.lines)
    line.close()
    upstream.wait(lambda server: len(server.requests) > before)
    assert not upstream.requests[-1].whole


@pytest.mark.parametrize("head", [
    b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1000000\r\n",
], ids=["counted", "chunked"])
def test_a_server_that_breaks_off_is_seen_by_the_client(upstream, gate, head):
    """Its answer is not ended as if it were whole."""
    read = threading.Event()

    def answer(line, request):
        line.send(b"HTTP/1.1 200 OK\r\n" + head + b"x" * 1000)
        read.wait(30)
        return False

    upstream.answer = answer
    line = connect(gate.port)
    line.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert line.until(b"x" * 10)
    read.set()
    line.rest()
    line.close()
    answer = ask(gate.port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer.status == 502 or not answer.whole


# Events.

def test_each_event_arrives_at_once(upstream, gate):
    """The server sends the next one only after the client has read the last."""
    heard = threading.Semaphore(0)

    def answer(line, request):
        line.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n")
        for i in range(50):
            event = b"event: state\r\ndata: {\"n\":%d}\r\n\r\n" % i
            line.send(b"%x\r\n%s\r\n" % (len(event), event))
            assert heard.acquire(timeout=30)
        line.send(b"0\r\n\r\n")

    upstream.answer = answer
    line = connect(gate.port)
    line.send(b"GET /jmap/eventsource/?types=*&closeafter=no&ping=30 HTTP/1.1\r\nHost: h\r\n"
              b"Accept: text/event-stream\r\n\r\n")
    assert read_head(line).value(b"Content-Type") == b"text/event-stream"
    for i in range(50):
        assert line.until(b"{\"n\":%d}\r\n\r\n" % i)
        heard.release()
    assert line.until(b"0\r\n\r\n")
    line.close()


def test_a_stream_of_events_may_be_silent_for_longer_than_the_idle_timeout(upstream):
    """A client that says nothing on a kept connection loses it; one that listens does not."""
    idle_ended = threading.Event()

    def answer(line, request):
        line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst;\r\n")
        assert idle_ended.wait(30)
        line.send(b"7\r\nsecond;\r\n0\r\n\r\n")

    upstream.answer = answer
    with Gate(upstream.port, IDLE_TIMEOUT="1s") as gate:
        listening = connect(gate.port)
        listening.send(b"GET /jmap/eventsource/ HTTP/1.1\r\nHost: h\r\n\r\n")
        assert listening.until(b"first;")
        for _ in range(2):  # two idle timeouts, one after the other
            idle = connect(gate.port)
            assert idle.rest() == b""
            idle.close()
        idle_ended.set()
        assert listening.until(b"second;\r\n0\r\n\r\n")
        listening.close()
