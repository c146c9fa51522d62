"""Metrics: what is counted, under which names, and how many series there are."""

import json
import re
import shutil
import socket
import subprocess
import time

import pytest

import frames
from certificates import Authority
from gate import Gate
from standin import ROOT, Standin, basic
from test_docs import anchors
from test_gate import DUE, certificate, days, domain, retry, state
from test_status import HOSTILE, fill
from waiting import wait_until

RULES = ROOT / "deploy/prometheus/rules.yaml"
DASHBOARD = ROOT / "deploy/grafana/renewgate.json"


@pytest.fixture
def standin():
    with Standin("v0.16.18") as server:
        yield server


def metrics_of(gate):
    lines = gate.admin("/metrics")[1].splitlines()
    return {name: float(number) for name, number in
            (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def wait_for(gate, condition):
    """The metrics once the condition is true of them."""
    def there():
        metrics = metrics_of(gate)
        return condition(metrics) and metrics

    return wait_until(there)


def test_answers_count_by_method_and_class_of_status(standin, gate):
    gate.request("GET", "/absent")
    gate.request("POST", "/jmap/", b"{", {"Content-Type": "application/json"})
    gate.request("BREW", "/absent")
    metrics = wait_for(gate, lambda metrics: metrics["renewgate_exchanges_in_flight"] == 0)
    counted = {name[len("renewgate_responses_total"):]: number for name, number in metrics.items()
               if name.startswith("renewgate_responses_total") and number}
    assert counted == {'{method="GET",class="4xx"}': 1, '{method="POST",class="4xx"}': 1,
                       '{method="other",class="4xx"}': 1}


def test_an_answer_that_breaks_off_has_no_class():
    with socket.create_server(("127.0.0.1", 0)) as server, Gate(server.getsockname()[1]) as gate:
        with socket.create_connection(("127.0.0.1", gate.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            upstream, _ = server.accept()
            upstream.recv(65536)
            upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            while b"half" not in client.recv(65536):
                pass
            upstream.close()
            while client.recv(65536):
                pass
        metrics = wait_for(gate, lambda metrics: metrics["renewgate_exchanges_in_flight"] == 0)
    assert metrics['renewgate_responses_total{method="GET",class="none"}'] == 1
    assert metrics['renewgate_responses_total{method="GET",class="2xx"}'] == 0
    assert metrics["renewgate_sent_bytes_total"] == 4


def test_an_answer_that_waits_for_the_end_of_a_body_counts_once():
    """It is asked for as soon as it is there, and too large to go out at once."""
    content = b"x" * 20_000
    answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    with socket.create_server(("127.0.0.1", 0)) as server, Gate(server.getsockname()[1]) as gate:
        with socket.create_connection(("127.0.0.1", gate.port)) as client:
            client.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
            upstream, _ = server.accept()
            upstream.recv(65536)
            upstream.sendall(answer)
            while upstream.recv(65536):  # until the gate has all of it, and needs no more
                pass
            client.sendall(b"y" * 200_000)
            received = b""
            while content not in received:
                received += client.recv(65536)
        metrics = wait_for(gate, lambda metrics: metrics["renewgate_exchanges_in_flight"] == 0)
    assert metrics["renewgate_sent_bytes_total"] == len(content)


def test_a_websocket_ends_in_a_class_of_its_own(gate):
    with frames.connect(gate.port) as peer:
        peer.send(frames.CLOSE)
        assert peer.is_closed()
    metrics = wait_for(gate, lambda metrics: metrics["renewgate_exchanges_in_flight"] == 0)
    assert metrics['renewgate_responses_total{method="GET",class="1xx"}'] == 1


def test_bodies_count_in_bytes_both_ways(standin, gate):
    body = b'{"using":[],"methodCalls":[["Core/echo",{"x":"' + b"y" * 300_000 + b'"},"c"]]}'
    _, _, answer = gate.request("POST", "/jmap/", body, {"Content-Type": "application/json"})
    metrics = wait_for(gate, lambda metrics: metrics["renewgate_exchanges_in_flight"] == 0)
    assert metrics["renewgate_received_bytes_total"] == len(body)
    assert metrics["renewgate_sent_bytes_total"] == len(answer) > 0


def test_connections_count_while_they_are_open(gate):
    with socket.create_connection(("127.0.0.1", gate.port)):
        wait_for(gate, lambda metrics: metrics["renewgate_connections_open"] == 1)
    metrics = wait_for(gate, lambda metrics: metrics["renewgate_connections_open"] == 0)
    assert metrics["renewgate_connections_total"] == 1


def test_the_process_tells_what_it_uses(gate):
    metrics = metrics_of(gate)
    assert abs(metrics["process_start_time_seconds"] - time.time()) < 600
    assert 1_000_000 < metrics["process_resident_memory_bytes"] < \
        metrics["process_virtual_memory_bytes"]
    assert 5 < metrics["process_open_fds"] < metrics["process_max_fds"]
    assert metrics["process_cpu_seconds_total"] > 0


def test_domains_are_summed_up_and_named_only_where_asked_for(standin):
    ids = fill(standin, ["a.example", *HOSTILE, 'b"\\\n.example'], DUE)
    with Gate(standin.port) as gate:
        for id in ids:
            gate.renew(id)
        text = gate.admin("/metrics")[1]
        metrics = metrics_of(gate)
    # What is no host name is in no certificate; the others are a.example and the one turned around.
    assert metrics['renewgate_domains{standing="due"}'] == 2
    assert metrics['renewgate_domains{standing="missing"}'] == len(ids) - 2
    assert metrics["renewgate_queued_tasks"] == len(ids)
    assert "example" not in text, "no series of a single domain"
    with Gate(standin.port, METRICS_DOMAINS="on") as gate:
        for id in ids:
            gate.renew(id)
        text = gate.admin("/metrics")[1]
    assert re.search(r'^renewgate_certificate_expiry_timestamp_seconds\{domain="a.example"\} \d+$',
                     text, re.M)
    assert text.count("renewgate_certificate_expiry_timestamp_seconds{") == 2
    check(text)


def test_a_name_of_whatever_kind_becomes_a_label(standin):
    standin.put_state(**state([], [retry(days(3))], [domain("b", 'b"\\\n.example')]))
    with Gate(standin.port, METRICS_DOMAINS="on") as gate:
        gate.renew()
        text = gate.admin("/metrics")[1]
    assert 'held_until_timestamp_seconds{domain="b\\"\\\\\ufffd000a.example"}' in text
    check(text)


def check(text):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed")
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                             capture_output=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_hold_of_the_ca_is_told(standin):
    standin.put_state(**state([certificate(DUE)], [retry(days(3))]))
    with Gate(standin.port, METRICS_DOMAINS="on") as gate:
        gate.renew()
        metrics = metrics_of(gate)
    assert metrics['renewgate_domains{standing="held"}'] == metrics['renewgate_held_domains{by="ca"}'] == 1
    assert metrics['renewgate_domain_held_until_timestamp_seconds{domain="example.org"}'] > time.time()


def test_a_domain_without_a_certificate_is_missing_even_while_it_is_held(standin):
    standin.put_state(**state([], [retry(days(3))]))
    with Gate(standin.port) as gate:
        gate.renew()
        metrics = metrics_of(gate)
    assert metrics['renewgate_domains{standing="missing"}'] == metrics['renewgate_held_domains{by="ca"}'] == 1
    assert metrics['renewgate_domains{standing="held"}'] == 0


def test_the_number_of_series_does_not_depend_on_what_clients_send(standin, gate):
    before = set(metrics_of(gate))
    for i in range(20):
        gate.request(f"METHOD{i}", f"/path{i}")
        gate.renew(f"b{'cdefghijkl'[i % 10]}")
    assert set(metrics_of(gate)) == before


def test_alert_rules_hold_what_their_tests_say():
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed")
    for command in (["check", "rules", RULES], ["test", "rules", ROOT / "deploy/prometheus/rules_test.yaml"]):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def all_metrics(standin, tmp_path):
    """Of a gate that has everything there is a metric of."""
    cert, key = Authority(tmp_path).issue("gate", "DNS:localhost")
    with Gate(standin.port, LOCK_URL="redis://127.0.0.1:1", METRICS_DOMAINS="on", TLS_CERT=cert,
              TLS_KEY=key, SERVICE_AUTHORIZATION=basic()) as gate:
        return re.findall(r"^# TYPE (\S+)", gate.admin("/metrics")[1], re.M)


def test_rules_and_dashboard_name_only_metrics_that_there_are(all_metrics):
    known = set(all_metrics)
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) >= len(dashboard["panels"]) > 10
    expressions += re.findall(r"expr: (?:\|\n)?(.*?)\n +(?:for|labels):", RULES.read_text(), re.S)
    for expression in expressions:
        named = re.findall(r"\b(?:renewgate|process)_\w+", expression)
        assert named or expression.startswith("up{"), expression
        assert {re.sub("_bucket$", "", name) for name in named} <= known, expression


def test_each_metric_and_alert_is_explained(all_metrics):
    page = (ROOT / "docs/monitoring.md").read_text()
    alerts = re.findall(r"alert: (\w+)", RULES.read_text())
    assert [name for name in all_metrics + alerts if f"`{name}`" not in page] == []


def test_pages_name_only_metrics_and_alerts_that_there_are(all_metrics):
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text()))
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text()
        metrics = set(re.findall(r"\brenewgate_[a-z]\w+", text))
        assert metrics <= set(all_metrics), (page, metrics - set(all_metrics))
        named = set(re.findall(r"`(Renewgate\w+)`", text))
        assert named <= alerts, (page, named - alerts)


def test_each_alert_has_a_page_that_helps():
    rules = RULES.read_text()
    links = re.findall(r'^ +runbook: "(.+)#(.+)"$', rules, re.M)
    assert len(links) == len(re.findall("alert: ", rules)) > 10
    for page, anchor in links:
        assert anchor in set(anchors(ROOT / page)), (page, anchor)


def test_what_an_alert_watches_is_on_the_dashboard():
    watched = set(re.findall(r"\brenewgate_\w+", re.sub("summary:.*", "", RULES.read_text())))
    shown = {name for panel in json.loads(DASHBOARD.read_text())["panels"]
             for target in panel["targets"] for name in re.findall(r"renewgate_\w+", target["expr"])}
    assert watched - shown == set()
