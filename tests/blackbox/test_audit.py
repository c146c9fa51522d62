"""An audit: all domains read and told of by command, and nothing changed."""

import contextlib
import datetime
import json
import os
import pty
import re
import select
import socket
import ssl
import subprocess

import pytest

from certificates import Authority, openssl
from servers import SocketServer
from standin import Standin, basic, binary
from test_collapse import LIMITED, failed, refused
from test_dns import dns_task
from test_gate import (DUE, EXPIRED, FRESH, NOW, SOON, certificate, days, domain, retry, stamp,
                       state, task)
from test_sweep import NOT_DUE, changes, environment, healthy

QUEUED = task(days(57))


def audit(port, *options, status=0, **settings):
    """Runs the command into a pipe; what it prints, or where there is no audit, what it says."""
    ended = subprocess.run([binary("renewgate"), "audit", *options], capture_output=True,
                           timeout=120, env=environment(port, **settings))
    errors = ended.stderr.decode()
    assert "Sanitizer" not in errors and "runtime error" not in errors, errors
    assert ended.returncode == status, errors + ended.stdout.decode()
    assert (errors == "") == (status < 2), errors
    return ended.stdout.decode() if status < 2 else errors


def report(port, *options, status=0, **settings):
    return json.loads(audit(port, "--json", *options, status=status, **settings))


def only(port, *options, status=0, **settings):
    """The one domain that there is."""
    found, = report(port, *options, status=status, **settings)["domains"]
    return found


def kinds(found):
    return [finding["kind"] for finding in found["findings"]]


def on_terminal(port, *options, columns=80, **settings):
    """Runs the command on a terminal; all that it would show there, and its status."""
    main, side = pty.openpty()
    subprocess.run(["stty", "cols", str(columns)], stdin=side, check=True)
    process = subprocess.Popen([binary("renewgate"), "audit", *options], stdin=side, stdout=side,
                               stderr=side, env=environment(port, **settings) | {"TERM": "xterm"})
    os.close(side)
    shown = b""
    with contextlib.suppress(OSError):  # which is how a terminal ends
        while select.select([main], [], [], 60)[0]:
            piece = os.read(main, 65536)
            if not piece:
                break
            shown += piece
    os.close(main)
    return shown.decode().replace("\r\n", "\n"), process.wait(60)


# What it finds.

@pytest.mark.parametrize("certificates, tasks, status, expected", [
    ([certificate(FRESH)], [QUEUED], 0, []),
    ([certificate(DUE), certificate(FRESH)], [QUEUED], 0, []),
    ([certificate(DUE)], [task(SOON)], 0, []),
    ([certificate(EXPIRED)], [task(SOON)], 1, ["expired"]),
    ([], [], 1, ["no_certificate", "no_task"]),
    ([], [task(SOON)], 0, ["no_certificate"]),
    ([certificate(FRESH, ["www.example.org"])], [QUEUED], 1, ["no_certificate", "late"]),
    ([certificate(FRESH)], [], 1, ["no_task"]),
    ([certificate(DUE)], [], 1, ["no_task"]),
    ([certificate(DUE)], [task(days(30))], 1, ["too_late", "late"]),
    ([certificate(FRESH)], [retry(days(6))], 0, ["refused"]),
    ([certificate(DUE)], [retry(days(6))], 1, ["refused"]),
    ([certificate(DUE)], refused(97), 1, ["refused", "twins"]),
    ([certificate(DUE)], [failed(LIMITED), QUEUED], 1, ["too_late", "refused"]),
    ([certificate(DUE)], [retry(days(1), "DNS error: timeout")], 1, ["failing"]),
    ([certificate(FRESH)] * 3, [QUEUED], 0, ["duplicates"]),
    ([certificate(FRESH)] * 5, [QUEUED], 0, ["duplicates", "limit"]),
    ([certificate(FRESH)], [QUEUED, failed(NOT_DUE)], 0, ["not_due"]),
], ids=["fresh", "renewed", "due", "expired", "none", "first", "wrong names", "lost",
        "due, no task", "too late", "refused, fresh", "refused, due", "retries",
        "failed refusal", "failing", "duplicates", "limit", "not due"])
def test_it_tells_what_is_wrong(standin, certificates, tasks, status, expected):
    standin.put_state(**state(certificates, tasks))
    assert kinds(only(standin.port, status=status)) == expected


def test_all_of_a_domain_is_in_the_json(standin):
    standin.put_state(**state([certificate(DUE), certificate(FRESH), certificate(FRESH)],
                              refused(3) + [failed("DNS error: timeout")]))
    found = report(standin.port, status=1)
    assert found["server"] == standin.url
    assert abs(datetime.datetime.fromisoformat(found["time"]) - NOW) < datetime.timedelta(hours=1)
    summary = found["summary"]
    assert summary.pop("requests") > 0
    assert summary == {"domains": 1, "urgent": 0, "attention": 1, "note": 0, "fine": 0, "manual": 0,
                       "refused": 1, "refused_until": days(6), "duplicates": 1, "sweep_changes": 3}
    found, = found["domains"]
    assert found.pop("next")["words"].startswith("wait")
    assert {finding["kind"]: finding["severity"] for finding in found.pop("findings")} == {
        "refused": "note", "failing": "note", "twins": "attention", "duplicates": "note"}
    listed = found["certificates"].pop("list")
    assert [(each["issuer"], each["standing"]) for each in listed] == \
        3 * [("CN=Test CA", "unjudged")]
    assert found == {
        "domain": "example.org", "id": "b", "names": ["mail.example.org"],
        "severity": "attention",
        "certificates": {"stored": 3, "duplicates": 1, "recent": 2, "limit": 5,
                         "limit_seconds": 604800, "newest_expiry": days(87),
                         "renewal_due": days(57), "ca": None},
        "tasks": {"live": 3, "failed": 1, "not_due": 0, "next_due": days(6),
                  "last_failure": "DNS error: timeout"},
        "refused_until": days(6),
        "create": {"row": 1, "outcome": "existing", "due": days(6),
                   "why": "the CA has refused and a task waits until it no longer does"},
        "sweep": {"removed": 2, "cleared": 0, "moved": True, "scheduled": False,
                  "due": days(6)}}


def mixed():
    """Some domains, of which none is like another."""
    names = ["expired.test", "fresh.test", "lost.test", "twins.test", "two.test"]
    domains = [domain(id, name) for id, name in zip("bcdfg", names)] + \
        [domain("h", "manual.test", kind="Manual")]
    certificates = [certificate(dates, ["mail." + name]) for dates, name in
                    zip([EXPIRED, FRESH, FRESH, DUE, FRESH, FRESH], names + ["two.test"])]
    tasks = [one | {"domainId": "f"} for one in refused(9)]
    tasks += [task(days(57), domain="c", id="jp173xlcazba"),
              task(days(57), domain="g", id="jp173xlcazca"),
              failed(NOT_DUE) | {"domainId": "d"}]
    return state(certificates, tasks, domains=domains)


def test_the_worst_comes_first_and_what_is_well_is_one_line(standin):
    standin.put_state(**mixed())
    table = audit(standin.port, status=1)
    assert re.findall(r"(\w+\.test) ", table) == ["expired.test", "lost.test", "twins.test",
                                                  "two.test"]
    assert "1 is well" in table and "1 further domain is managed by hand" in table
    assert "fresh.test" in audit(standin.port, "--all", status=1)


def test_it_foretells_what_a_sweep_changes(standin):
    standin.put_state(**mixed())
    told = {}
    words = {"destroyed": "removed", "superseded": "removed", "postponed": "moved",
             "advanced": "moved"}
    for change in changes(standin.port, "--dry-run"):
        own = told.setdefault(change["domain_id"], [])
        own.append(words.get(change["action"], change["action"]))
    foretold = {}
    for found in report(standin.port, status=1)["domains"]:
        sweep = found["sweep"]
        actions = [name for name in ("removed", "cleared", "moved", "scheduled")
                   for _ in range(sweep[name])]
        if actions:
            foretold[found["id"]] = actions
    assert foretold == {id: sorted(actions, key=["removed", "cleared", "moved",
                                                 "scheduled"].index)
                        for id, actions in told.items()}
    assert len(foretold) == 3


def test_a_dns_task_that_renews_is_on_its_way(standin):
    """A create would be answered with it, and a sweep makes no renewal beside it."""
    standin.put_state(**state([certificate(DUE)], [dns_task(due=SOON)]))
    found = only(standin.port, status=1)
    assert not found["sweep"]["scheduled"] and changes(standin.port, "--dry-run") == []
    assert (found["create"]["row"], found["create"]["outcome"]) == (2, "existing")


def test_nothing_is_changed(standin):
    standin.put_state(**mixed())
    before = standin.state()
    standin.clear_log()
    audit(standin.port, "--all", status=1)
    audit(standin.port, "--probe", "127.0.0.1:1", status=1)
    assert standin.state()["tasks"] == before["tasks"]
    assert not any("/set" in request["body"] for request in standin.log())


def test_the_large_text_is_asked_for_with_a_probe_only(standin):
    standin.put_state(**mixed())
    standin.clear_log()
    audit(standin.port, "--json", status=1)
    assert not any('"certificate"' in request["body"] for request in standin.log())


def test_one_domain_in_full(standin):
    standin.put_state(**mixed())
    table = audit(standin.port, "--domain", "FRESH.test")
    assert "fresh.test" in table and "names: mail.fresh.test" in table and "a create now" in table
    assert "twins.test" not in table
    assert only(standin.port, "--domain", "fresh.test")["id"] == "c"


def test_a_domain_managed_by_hand_is_said_to_be(standin):
    standin.put_state(**mixed())
    assert "managed by hand" in audit(standin.port, "--domain", "manual.test")


def test_a_domain_that_is_not_there(standin):
    standin.put_state(**mixed())
    assert "no domain of that name" in audit(standin.port, "--domain", "nowhere.test", status=2)


def test_no_domains_at_all(standin):
    assert "0 domains" in audit(standin.port)


def test_many_domains_cost_few_requests(standin):
    standin.put_state(**state(domains=[domain("b")]) | {
        "domains": [], "generate": {"domains": 2500, "suffix": "test", "certificate_age_days": 10,
                                    "task_due_days": 50,
                                    "subjectAlternativeNames": {"mail": True}}})
    found = report(standin.port)
    assert (found["summary"]["domains"], found["summary"]["fine"]) == (2500, 2500)
    assert found["summary"]["requests"] < 50
    assert "2500 are well" in audit(standin.port)


# The terminal, the pipe.

def test_colours_and_progress_on_a_terminal_only(standin, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    standin.put_state(**mixed())
    shown, status = on_terminal(standin.port)
    assert status == 1
    assert "\033[1;31m!!\033[0m expired.test" in shown and "reading: " in shown
    assert "\033" not in audit(standin.port, status=1)


def test_a_pause_that_the_server_asks_for_is_shown(standin):
    standin.put_state(**mixed())
    standin.fault(match="x:Domain/query", status=429, retry_after=1)
    shown, _ = on_terminal(standin.port)
    assert "the server asks for a pause of 1 s" in shown


def test_no_color_is_respected(standin, monkeypatch):
    standin.put_state(**mixed())
    monkeypatch.setenv("NO_COLOR", "1")
    shown, _ = on_terminal(standin.port)
    assert "expired.test" in shown and not re.search(r"\033\[[\d;]*m", shown)


@pytest.mark.parametrize("columns", [80, 200])
def test_no_line_is_wider_than_the_terminal(standin, columns):
    standin.put_state(**mixed() | {"tasks": [
        retry(days(1), "no " * 40 + "answer", domain="b"),
        *(one | {"domainId": "f"} for one in refused(9))]})
    shown, _ = on_terminal(standin.port, "--all", columns=columns)
    text = re.sub(r"\r\033\[K[^\r\n]*(?=\r)|\r\033\[K|\033\[[\d;]*m", "", shown)
    assert max(len(line) for line in text.splitlines()) <= columns
    assert ("names: mail.fresh.test" in text) == (columns == 200)


def test_what_the_server_says_cannot_command_the_terminal(standin):
    evil = "\033]0;owned\007\u202e.test"
    standin.put_state(**state([certificate(DUE)], [
        retry(days(1), "\033[2J\nDNS \x9b31m error")], domains=[domain(), domain("c", evil)]))
    for table in (audit(standin.port, "--all", status=1),
                  on_terminal(standin.port, "--domain", evil)[0]):
        text = re.sub(r"\r?\033\[([\d;]*m|K)", "", table).replace("\r", "").replace("\n", "")
        assert all(32 <= ord(character) < 127 for character in text)
        assert "\\x1b]0;owned\\x07" in text
    assert evil in [found["domain"] for found in report(standin.port, status=1)["domains"]]


# No audit.

@pytest.mark.parametrize("options", [["--quickly"], ["--domain"], ["--probe"], ["--domain", ""],
                                     ["extra"]])
def test_a_wrong_option_is_refused(standin, options):
    assert "not understood" in audit(standin.port, *options, status=2)


def test_without_a_credential_it_says_so(standin):
    assert "RENEWGATE_SERVICE_AUTHORIZATION" in \
        audit(standin.port, status=2, SERVICE_AUTHORIZATION="")


@pytest.mark.parametrize("user, password, words", [
    ("admin", "wrong", "does not know the credential"),
    ("blind", "secret", "may not read"),
])
def test_a_credential_that_does_not_do_is_named(standin, user, password, words):
    standin.put_state(**mixed())
    reason = audit(standin.port, status=2, SERVICE_AUTHORIZATION=basic(user, password))
    assert words in reason and password not in reason


def test_a_credential_that_may_only_read_will_do(standin):
    standin.put_state(**mixed())
    audit(standin.port, status=1, SERVICE_AUTHORIZATION=basic("reader"))


def test_a_server_that_is_not_there_is_named():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    reason = audit(port, status=2)
    assert "did not answer" in reason and f"http://127.0.0.1:{port}" in reason
    assert reason.count("\n") == 1


@pytest.mark.parametrize("fault", [{"garbage": True}, {"body": "{}"}, {"status": 403},
                                   {"body": '{"methodResponses":[]}'}])
@pytest.mark.parametrize("match", ["x:Task/query", "x:Domain/query", "x:AcmeProvider/get",
                                   "calculateTotal", '["certificate"]'])
def test_an_answer_that_makes_no_sense_ends_it(standin, match, fault):
    standin.put_state(**mixed())
    standin.fault(match=match, times=-1, **fault)
    assert "no audit" in audit(standin.port, "--probe", "127.0.0.1:1", status=2)


def test_it_stands_back_and_goes_on(standin):
    standin.put_state(**mixed())
    standin.fault(match="x:Domain/query", times=2, status=429)
    audit(standin.port, status=1)


def test_a_long_queue_is_read_once(standin):
    standin.put_state(**healthy(700))
    report(standin.port)
    before = standin.counters()["methods"]["x:Task/query"]
    standin.add(domains=[domain("zz", "due.test")])
    standin.reset_counters()
    report(standin.port, status=1)
    assert standin.counters()["methods"]["x:Task/query"] == before


def test_it_asks_again_when_the_server_said_and_not_before(standin):
    standin.put_state(**mixed())
    standin.fault(match="x:Domain/query", status=429, retry_after=2)
    audit(standin.port, status=1)
    assert [fault["met"] for fault in standin.faults()] == [1]


# What is served.

class Listener(SocketServer):
    """Serves by TLS, for each name, one of the certificates; for any other the first."""

    def __init__(self, pairs):
        self.contexts = {}
        for name, (cert, key) in pairs.items():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            self.contexts[name] = context
        first = next(iter(self.contexts.values()))
        first.sni_callback = self.choose
        self.context = first
        self.asked = []
        super().__init__()
        self.address = f"127.0.0.1:{self.port}"

    def choose(self, connection, name, _):
        self.asked.append(name)
        connection.context = self.contexts.get(name, self.context)

    def serve(self, client):
        self.context.wrap_socket(client, server_side=True).close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("audit"))


def self_signed(authority, name):
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out",
            f"{name}.pem", "-days", "2", "-subj", "/CN=rcgen self signed cert", "-addext",
            f"subjectAltName=DNS:{name}", cwd=authority.folder)
    return authority.folder / f"{name}.pem", authority.folder / f"{name}.key"


def stored(authority, name, pair, **members):
    """What the server stores of a certificate and its chain."""
    dates = subprocess.run(["openssl", "x509", "-in", pair[0], "-noout", "-startdate", "-enddate"],
                           capture_output=True, text=True, check=True).stdout
    begins, ends = (datetime.datetime.strptime(line.split("=")[1], "%b %d %H:%M:%S %Y GMT")
                    for line in dates.splitlines())
    text = pair[0].read_text() + authority.certificate.read_text()
    return certificate({"notValidBefore": stamp(begins), "notValidAfter": stamp(ends)}, [name],
                       certificate={"value": text}) | members


def probed(standin, listener, *certificates, status, name="mail.example.org"):
    """What the JSON says of the one domain, whose certificates these are."""
    standin.put_state(**state(certificates, [QUEUED]))
    found = only(standin.port, "--probe", listener, status=status)
    service, = found["served"]
    assert service["name"] == name
    return service, found


def test_the_newest_is_served(standin, authority):
    pair = authority.issue("right", "DNS:mail.example.org")
    with Listener({"mail.example.org": pair}) as listener:
        service, found = probed(standin, listener.address,
                                stored(authority, "mail.example.org", pair), status=1)
        assert listener.asked == ["mail.example.org"]
    assert service == {"name": "mail.example.org", "served": "newest", "detail": None}
    text, = found["stored"]
    assert text.pop("id")
    assert text == {"readable": True, "key": "EC P-256", "chain": 2, "fault": None}
    assert kinds(found) == ["too_late"]  # two days of life, and the task comes in 57


def test_a_self_signed_one_is_served(standin, authority):
    pair = authority.issue("hidden", "DNS:mail.example.org")
    with Listener({"": self_signed(authority, "mail.example.org")}) as listener:
        service, found = probed(standin, listener.address,
                                stored(authority, "mail.example.org", pair), status=1)
        assert service["served"] == "self_signed" and "served" in kinds(found)
        table = audit(standin.port, "--probe", listener.address, status=1)
    assert "!! mail.example.org is served a self-signed certificate" in table


def test_an_older_duplicate_is_served(standin, authority):
    old = authority.issue("old", "DNS:mail.example.org", rsa=True)
    new = authority.issue("new", "DNS:mail.example.org")
    newer = stored(authority, "mail.example.org", new, notValidAfter=days(20))
    with Listener({"": old}) as listener:
        service, found = probed(standin, listener.address,
                                stored(authority, "mail.example.org", old), newer, status=1)
    assert service["served"] == "older"
    assert sorted(text["key"] for text in found["stored"]) == ["EC P-256", "RSA 2048"]
    assert {text["fault"] for text in found["stored"]} == {None, "its text has other dates"}


def test_one_that_is_not_stored_is_served(standin, authority):
    pair = authority.issue("unknown", "DNS:mail.example.org")
    kept = authority.issue("kept", "DNS:mail.example.org")
    with Listener({"": pair}) as listener:
        service, _ = probed(standin, listener.address,
                            stored(authority, "mail.example.org", kept), status=1)
    assert service["served"] == "unknown"


def test_one_for_another_name_is_served(standin, authority):
    pair = authority.issue("other", "DNS:mail.example.net")
    kept = authority.issue("mine", "DNS:mail.example.org")
    with Listener({"": pair}) as listener:
        service, _ = probed(standin, listener.address,
                            stored(authority, "mail.example.org", kept), status=1)
    assert service["served"] == "other_name"


def test_an_expired_one_is_served(standin, authority):
    pair = authority.issue("past", "DNS:mail.example.org")
    kept = stored(authority, "mail.example.org", pair)
    with Listener({"": pair}) as listener:
        standin.put_state(**state([kept], [QUEUED], now=days(30), frozen=True))
        found = only(standin.port, "--probe", listener.address, status=1)
    assert found["served"][0]["served"] == "expired"


def test_nothing_listens(standin, authority):
    pair = authority.issue("silent", "DNS:mail.example.org")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = "127.0.0.1:%d" % unused.getsockname()[1]
    service, _ = probed(standin, address, stored(authority, "mail.example.org", pair), status=1)
    assert service == {"name": "mail.example.org", "served": "nothing",
                       "detail": "Connection refused"}


def test_it_hangs(standin, authority):
    pair = authority.issue("hanging", "DNS:mail.example.org")
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        service, _ = probed(standin, "127.0.0.1:%d" % hanging.getsockname()[1],
                            stored(authority, "mail.example.org", pair), status=1)
    assert service == {"name": "mail.example.org", "served": "nothing",
                       "detail": "it did not answer in time"}


def test_it_speaks_no_tls(standin):
    service, _ = probed(standin, f"127.0.0.1:{standin.port}", certificate(FRESH), status=1)
    assert service["served"] == "nothing" and service["detail"]


def test_a_listener_that_never_answers_is_not_asked_for_ever(standin):
    domains = [domain(a + b, f"{a}{b}.test") for a in "bcdfgh" for b in "abcdefghijkl"]
    standin.put_state(**state(domains=domains))
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = "127.0.0.1:%d" % unused.getsockname()[1]
    details = [found["served"][0]["detail"]
               for found in report(standin.port, "--probe", address, status=1)["domains"]]
    assert "not asked" in "".join(details) and "Connection refused" in details
    assert len(details) == 72


def test_a_wildcard_is_asked_for_by_a_name_that_it_covers(standin, authority):
    pair = authority.issue("wild", "DNS:*.example.org", "DNS:example.org")
    both = stored(authority, "example.org", pair)
    both["subjectAlternativeNames"]["*.example.org"] = True
    standin.put_state(**state([both], [QUEUED], domains=[domain(names=())], challenge="Dns01"))
    with Listener({"": pair}) as listener:
        found = only(standin.port, "--probe", listener.address, status=1)
        assert sorted(listener.asked) == ["example.org", "renewgate-audit.example.org"]
    assert {service["served"] for service in found["served"]} == {"newest"}


@pytest.mark.parametrize("spoil, fault", [
    (lambda text, other: "no PEM", "its text cannot be read"),
    (lambda text, other: other + text[text.index("-----END") + 26:], "its text has other names"),
    (lambda text, other: text[:text.index("-----BEGIN", 5)], "its chain lacks the issuer"),
    (lambda text, other: text[:text.index("-----BEGIN", 5)] + other,
     "its chain does not link up"),
], ids=["garbage", "names", "no chain", "wrong chain"])
def test_a_stored_text_that_is_not_what_the_server_says(standin, authority, spoil, fault):
    pair = authority.issue("spoilt", "DNS:mail.example.org")
    other = authority.issue("stranger", "DNS:mail.example.net")[0].read_text()
    kept = stored(authority, "mail.example.org", pair)
    kept["certificate"]["value"] = spoil(kept["certificate"]["value"], other)
    with Listener({"": pair}) as listener:
        _, found = probed(standin, listener.address, kept, status=1)
        assert found["stored"][0]["fault"] == fault and "damaged" in kinds(found)
        assert fault in audit(standin.port, "--probe", listener.address, status=1)


@pytest.mark.parametrize("listener", ["443", ":443", "host:", "127.0.0.1:no-such-port"])
def test_a_listener_that_cannot_be_is_named(standin, listener):
    assert "--probe" in audit(standin.port, "--probe", listener, status=2)


# Who has issued.

LETSENCRYPT = {"id": "c", "challengeType": "Http01", "renewBefore": "R23", "maxRetries": 10,
               "directory": "https://acme-v02.api.letsencrypt.org/directory"}


@pytest.mark.parametrize("issuer, standing, found", [
    ("C=US, O=Let's Encrypt, CN=R11", "expected", []),
    ("C=AT, O=ZeroSSL, CN=ZeroSSL ECC Domain Secure Site CA", "other", ["other_ca"]),
    ("C=US, O=(STAGING) Let's Encrypt, CN=(STAGING) Riddling Rhubarb R12", "staging", ["staging"]),
])
def test_it_tells_whose_certificate_it_is(standin, issuer, standing, found):
    dates = {"notValidBefore": days(-10), "notValidAfter": days(80)}
    queued = task(days(50))
    standin.put_state(**state([certificate(dates, issuer=issuer)], [queued],
                              providers=[LETSENCRYPT]))
    one = only(standin.port, status=1 if standing == "staging" else 0)
    assert kinds(one) == found and one["certificates"]["ca"] == "Let's Encrypt"
    stored, = one["certificates"]["list"]
    assert (stored["issuer"], stored["standing"]) == (issuer, standing)
    assert stored["expires"] == days(80)
    table = audit(standin.port, "--all", status=1 if standing == "staging" else 0)
    assert f"issued by {issuer}" in " ".join(table.split())


def test_it_names_an_issuer_of_an_unknown_ca_and_judges_it_not(standin):
    standin.put_state(**state([certificate(FRESH), certificate(DUE, issuer="CN=\x1b[2J Old")], [QUEUED]))
    one = only(standin.port)
    assert one["certificates"]["ca"] is None
    assert {each["standing"] for each in one["certificates"]["list"]} == {"unjudged"}
    table = audit(standin.port, "--all")
    assert "issued by CN=Test CA; CN=\\x1b[2J Old" in table or \
        "issued by CN=\\x1b[2J Old; CN=Test CA" in table


def test_a_long_issuer_is_cut_between_two_letters(standin):
    standin.put_state(**state([certificate(FRESH, issuer="CN= " + "\u00fc" * 100)], [QUEUED]))
    stored, = only(standin.port)["certificates"]["list"]
    assert stored["issuer"] == "CN= " + "\u00fc" * 61
