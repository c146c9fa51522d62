"""Writes what the fuzzer begins with: texts of the unit tests' tables, and the recordings."""

import ast
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# String literals with nothing but blanks between them are one text.
LITERALS = re.compile(r'"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*')
# Where a target's texts are in the tables of another one's test, or of several.
TABLES = {"hold": ["hold", "hold_memory", "batch_memory", "answer"],
          "request": ["hold", "hold_memory", "batch_memory", "result_reference"],
          "answer": ["answer", "hold"]}
# Batches whose calls change what the others mean, and answers that say so, or something else.
BATCHES = {
    "in a circle": [["x:Task/set", {"create": {"a": "#k", "k": "#a"}}]],
    "to nothing, twice": [["x:Task/set", {"create": {"k": "#e"}}],
                          ["x:Task/set", {"create": {"l": "#e"}}]],
    "to an echo": [["Core/echo", {"create": {"d": 1}}], ["x:Task/set", {"create": {"k": "#d"}}]],
    "to a domain": [["x:Domain/set", {"create": {"d": {"name": "new.test"}}}],
                    ["x:Task/set", {"create": {"k": "#d"}}], ["x:Task/get", {"ids": ["#k"]}]],
    "behind a certificate": [["x:Certificate/set", {"destroy": ["jpcert"]}],
                             ["x:Task/set", {"create": {"k": "b"}}]],
    "before a certificate": [["x:Task/set", {"create": {"k": "b", "l": "b"}}],
                             ["x:Certificate/set", {"#destroy": {
                                 "resultOf": "c0", "name": "x:Task/query", "path": "/ids"}}]],
    "to what was found": [["x:Task/query", {}], ["x:Task/set", {
        "create": {"k": "b"}, "#destroy": {"resultOf": "c0", "name": "x:Task/query",
                                           "path": "/ids/*"}}]],
}
SAID = [
    [["error", {"type": "invalidArguments"}], ["error", {"type": "invalidResultReference"}]],
    [["x:Task/set", {"created": {"k": {"id": "jpnew"}}}], ["error", {"type": "forbidden"}]],
    [["x:Task/set", {"notCreated": {"k": {"type": "x" * 200}}}],
     ["x:Task/set", {"created": {"k": {"id": "jpnew"}}}], ["x:Task/set", {"destroyed": [7]}]],
    [["x:Domain/set", {"created": {"d": {"id": "b"}}}], ["Core/echo", {}], ["Core/echo", {}]],
    [["x:Task/query", {"ids": ["jpold", "jpnew"]}], ["Core/echo", {}]],
    [],
]


def batches():
    """Requests, each with every answer to it, and with what was said to the second part."""
    for calls in BATCHES.values():
        numbered = []
        for i, (name, arguments) in enumerate(calls):
            creates = {key: {"@type": "AcmeRenewal", "domainId": id} if isinstance(id, str) else id
                       for key, id in arguments.get("create", {}).items()}
            numbered.append([name, {**arguments, "create": creates} if creates else arguments,
                             f"c{i}"])
        request = {"using": [], "createdIds": {"d": "b"}, "methodCalls": numbered}
        for said in SAID:
            answer = {"methodResponses": [[*each, f"c{i}"] for i, each in enumerate(said)],
                      "createdIds": {"d": "c"}}
            yield [json.dumps(each, separators=(",", ":")).encode() for each in (request, answer)]


# Bytes that a text cannot hold, and what no table has as it is read.
OTHERS = {
    "proxy_header": [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x50\x1f\x90",
                     b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n"],
    "frames": [b"\0\x81\x85abcd\x09\x07\x0f\x08\x0e", b"\1\x01\x02{}\x80\x01 \x89\0\x88\x02\x03\xe8"],
    "collapse": [b"\0\0\0" + bytes(range(1, 61)), b"\1\1\1" + bytes(range(200, 248))],
    "config": [b"RENEWGATE_LISTEN=[::]:80\nRENEWGATE_WORKERS=auto\nRENEWGATE_PUBLIC_URL=auto\n"
               b"RENEWGATE_ISSUE_LIMIT=5/168h\nRENEWGATE_TRUSTED_PROXIES=10.0.0.0/8\n"
               b"RENEWGATE_LOCK_URL=redis://:secret@127.0.0.1:6379/1\nRENEWGATE_IDLE_TIMEOUT=30s"],
    "refusal": [b"5/168h\n" + bytes(range(64))],
    # The kind of request, eight cuts, the answer.
    "answer_parser": [kind + b"\1\2\3\5\x08\x0d\x20\xff" + answer for kind, answer in [
        (b"\0", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: \ty \r\n\r\nhello"),
        (b"\0", b"HTTP/1.1 103 x\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
               b"\r\n\r\n3;a=b\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n"),
        (b"\0", b"HTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\nuntil the end"),
        (b"\1", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n"),
        (b"\2", b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n\x81\2{}")]],
    "forwarding": [b"X-Forwarded-For: 203.0.113.9, 192.0.2.7\nForwarded: for=\"[2001:db8::1]:4\";"
                   b"proto=https;host=\"mail.example.org\"\nHost: mail.example.org:8080\n"
                   b"Connection: close, X-Own\nContent-Length: 17"],
}


def table(name):
    """The texts in a unit test's source."""
    sources = (ROOT / "tests/unit").rglob(f"test_{name}.c")
    found = []
    for literal in (text for source in sources for text in LITERALS.findall(source.read_text())):
        try:
            found.append("".join(ast.literal_eval("(" + literal + ")")).encode())
        except (SyntaxError, ValueError):
            pass  # C's escapes are not all Python's
    return found


def recordings():
    """Pairs of the bodies of a request and its answer."""
    for path in sorted((ROOT / "tests/recordings").glob("*.json")):
        for recording in json.loads(path.read_text()):
            bodies = [recording[side].get("body") for side in ("request", "response")
                      if isinstance(recording.get(side), dict)]
            if len(bodies) == 2:
                yield [json.dumps(body, separators=(",", ":")) for body in bodies]


def seeds(target):
    found = [text for name in TABLES.get(target, [target]) for text in table(name)]
    found += OTHERS.get(target, [])
    pairs = [[text.encode() for text in pair] for pair in recordings()]
    if target == "answer":
        found += [request + b"\n" + answer for request, answer in [*pairs, *batches()]]
    if target == "request":
        found += [request for request, _ in batches()]
    if target in ("request", "session", "message"):
        found += [text for pair in pairs for text in pair]
    elif target == "hold":
        found = [bytes([48 + i % 16]) + text.replace(b"\n", b" ") for i, text in enumerate(found)]
        found += [b"8" + request + b"\n\n" + answer for request, answer in pairs]
        found += [variant + request + before + answer for request, answer in batches()
                  for variant in (b"0", b"8") for before in (b"\n", b"\n\n", b"\n\n\n", b"\n" * 5)]
    return found


def main():
    target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(dict.fromkeys(seeds(target))):
        (folder / f"seed-{number}").write_bytes(seed)


main()
