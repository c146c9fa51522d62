"""Streams where one side speaks TLS and the other end stalls: what a library has begun to send and
wants to be given again is not lost, nor is what it keeps."""

import fcntl
import ssl
import struct
import termios
import threading
import time
import zlib

import pytest

from certificates import Authority
from gate import Gate
from test_streams import MIB, checksum_of, give, take, take_chunks
from wire import Upstream, connect, last_answer, read_head, takes_body

SIZE = 16 * MIB
HEADS = {"counted": b"Content-Length: %d\r\n\r\n" % SIZE,
         "chunked": b"Transfer-Encoding: chunked\r\n\r\n"}


def serving(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context


@pytest.fixture(scope="module", params=["to the server", "to the client"])
def ends(request, tmp_path_factory):
    """A server, and what opens connections to a gate before it; one of the two with TLS."""
    authority = Authority(tmp_path_factory.mktemp("streams"))
    pair = authority.issue("localhost", "DNS:localhost", "IP:127.0.0.1")
    context = ssl.create_default_context(cafile=authority.certificate)
    to_server = request.param == "to the server"
    with Upstream(tls=serving(pair) if to_server else None) as upstream:
        settings = {"TLS_CERT": pair[0], "TLS_KEY": pair[1]}
        if to_server:
            settings = {"UPSTREAM_URL": f"https://localhost:{upstream.port}",
                        "UPSTREAM_CA": authority.certificate}
        with Gate(upstream.port, **settings) as gate:
            def opens():
                line = connect(gate.port)
                if not to_server:
                    line.socket = context.wrap_socket(line.socket, server_hostname="localhost")
                return line

            yield upstream, opens


def wait_until_stuck(line):
    """Until what lies unread on its socket has not grown for a second."""
    unread = lambda: struct.unpack("i", fcntl.ioctl(line.socket, termios.FIONREAD, bytes(4)))[0]
    before = -1
    while before != unread() or before == 0:
        before = unread()
        time.sleep(1)


def unmask(content, mask):
    whole = int.from_bytes(mask * (len(content) // 4), "big") ^ int.from_bytes(content, "big")
    return whole.to_bytes(len(content), "big")


def take_frame(line, head):
    """The checksum of a message in one frame, whose mask is anyone's."""
    got = line.exactly(len(head))
    assert got[:10] == head[:10]
    content = bytearray(line.take(SIZE))
    while len(content) < SIZE:
        piece = line.socket.recv(MIB)
        assert piece, "it is cut off"
        content += piece
    return zlib.crc32(unmask(content, got[10:]) if got[10:] else content)


def take_body(line, framing):
    """The checksum of a body of the size that is expected."""
    if framing == "counted":
        return take(line, SIZE)
    checksum, size = take_chunks(line)
    assert size == SIZE
    return checksum


@pytest.mark.parametrize("framing", HEADS)
def test_an_upload_to_a_server_that_stalls(ends, framing):
    upstream, opens = ends

    @takes_body
    def answer(server, request):
        wait_until_stuck(server)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%08x" % take_body(server, framing))

    upstream.answer = answer
    line = opens()
    line.send(b"PUT /x HTTP/1.1\r\nHost: h\r\n" + HEADS[framing])
    give(line, SIZE, framing == "chunked")
    taken = last_answer(line)
    assert (taken.status, taken.body) == (200, b"%08x" % checksum_of(SIZE))
    line.close()


@pytest.mark.parametrize("framing", HEADS)
def test_a_download_to_a_client_that_stalls(ends, framing):
    upstream, opens = ends

    def answer(server, request):
        server.send(b"HTTP/1.1 200 OK\r\n" + HEADS[framing])
        give(server, SIZE, framing == "chunked")

    upstream.answer = answer
    line = opens()
    line.send(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
    wait_until_stuck(line)
    assert read_head(line).status == 200
    assert take_body(line, framing) == checksum_of(SIZE)
    line.close()


#: A binary frame's head, for a client with a mask of zeroes, for a server without (RFC 6455, 5.2).
FRAMES = {"client": struct.pack("!BBQI", 0x82, 0x80 | 127, SIZE, 0),
          "server": struct.pack("!BBQ", 0x82, 127, SIZE)}


@pytest.mark.parametrize("sender", FRAMES)
def test_a_message_to_an_end_that_stalls(ends, sender):
    upstream, opens = ends
    met, taken = threading.Event(), []

    def send(line):
        line.send(FRAMES[sender])
        give(line, SIZE)

    def receive(line):
        wait_until_stuck(line)
        taken.append(take_frame(line, FRAMES[sender]))
        met.set()

    def answer(server, request):
        server.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
        (receive if sender == "client" else send)(server)
        met.wait(60)
        return False

    upstream.answer = answer
    line = opens()
    line.send(b"GET /jmap/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    assert read_head(line).status == 101
    if sender == "client":
        send(line)
        assert met.wait(60)
    else:
        receive(line)
    assert taken == [checksum_of(SIZE)]
    line.close()
