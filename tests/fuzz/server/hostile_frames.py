"""WebSocket frames that a server might send and should not: lists of steps, as in hostile_http."""

from frames import BINARY, CLOSE as CLOSING, MORE, PING, PONG, TEXT, closing, frame
from hostile_http import CLOSE, KEEP, RESET, SILENCE
from hostile_json import REPEATED


def said(payload=b"", op=TEXT, **how):
    return frame(op, payload, **{"masked": False, **how})


def ending(chance):
    return chance.choice([KEEP, KEEP, CLOSE, RESET])


def hostile(chance, text):
    """In the place of `text`, or around it."""
    middle = chance.randrange(len(text) + 1)
    steps = chance.choice([
        lambda: [frame(TEXT, text, masked=True)],
        lambda: [said(text, rsv=chance.randrange(1, 8))],
        lambda: [said(text, op=chance.choice([3, 7, 11, 15]))],
        lambda: [said(text, op=MORE)],
        lambda: [said(text, op=BINARY)],
        lambda: [said(text[:middle], final=False), said(b"p" * 125, op=PING), SILENCE / 50,
                 said(text[middle:], op=MORE)],
        lambda: [said(text[:middle], final=False), said(text)],
        lambda: [said(text[:middle], final=False)],
        lambda: [b"".join(said(b"%c" % byte, op=MORE if i else TEXT, final=False)
                          for i, byte in enumerate(text[:50_000])) + said(op=MORE)],
        lambda: [said(text[:middle], final=False), said(op=MORE, final=False) * 100_000],
        lambda: [said(b"", op=chance.choice([PING, PONG])) * 100_000, said(text)],
        lambda: [said(b"x" * 126, op=PING)],
        lambda: [said(b"x", op=PING, final=False)],
        lambda: [said(text, length=chance.choice([2**63, 2**64 - 1, 2**62, 2**32, 70_000]))],
        lambda: [b"\x81\x7e\x00\x05hello", b"\x81\x7f" + b"\x00" * 7 + b"\x05hello"],
        lambda: [said(text)[:chance.randrange(1, 10)]],
        lambda: [said(text) * min(chance.choice([2, 1000]), REPEATED // (len(text) + 1) + 1)],
        lambda: [said(b"\xff\xfe" + text)],
        lambda: [said(b"")],
        lambda: [said(closing(chance.choice([0, 999, 1000, 1005, 1006, 1015, 4999, 65535]),
                              chance.choice([b"", b"\xff", b"r" * 123, b"r" * 200])), op=CLOSING),
                 said(text)],
        lambda: [said(b"\x03", op=CLOSING)],
        lambda: [said(b"y" * 12_000_000)],
        lambda: [said(b'{"@type":"StateChange","changed":{}}') * 2000, said(text)],
        lambda: [bytes(chance.randrange(256) for _ in range(200))],
        lambda: [SILENCE],
    ])()
    return [*steps, ending(chance)]
