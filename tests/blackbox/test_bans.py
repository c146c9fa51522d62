"""What outsiders send never makes the server ban the gate, and with it everyone."""

import pytest

from gate import Gate, basic
from wire import ask

MALFORMED = [b"/<script>", b"/?q=\"x\"", b"/\xff", b"http://h:1:2/", b"http:///"]


def malformed(port):
    """More than a day's worth of them, in all the ways that are known."""
    for target in MALFORMED * 8:
        host = b"" if target == b"http:///" else b"h:1:2" if b":2" in target else b"h"
        status = ask(port, b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (target, host)).status
        assert status == 400
    for _ in range(40):
        fields = b"X: y\r\n" * 99
        assert ask(port, b"GET / HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n").status == 431


@pytest.mark.parametrize("forwarded", [False, True])
def test_malformed_requests(standin, forwarded):
    standin.put_state(bans=True, http={"useXForwarded": forwarded})
    with Gate(standin.port) as gate:
        malformed(gate.port)
        assert gate.request("GET", "/healthz/live")[0] == 200
    assert standin.counters()["malformed_requests"] == 0


def test_failed_logins_and_scans_are_the_clients_own(standin):
    """Where the server reads their addresses; where not: docs/deployment.md, "Bans"."""
    standin.put_state(bans=True, http={"useXForwarded": True})
    with Gate(standin.port) as gate:
        wrong = {"Authorization": basic("nobody", "wrong")}
        for _ in range(110):
            assert gate.request("GET", "/jmap/session", None, wrong)[0] in (401, 429)
        for spoofed in ("", "nobody", "[::1", "127.0.0.1, x", "\xff"):
            fields = {"X-Forwarded-For": spoofed, "Forwarded": f"for={spoofed}",
                      "Connection": "X-Forwarded-For, Forwarded"}
            assert gate.request("GET", "/blog/wp-login.php", None, fields)[0] in (404, 400)
        assert gate.request("GET", "/healthz/live")[0] == 200
    assert standin.request("GET", "/healthz/live").status == 200
