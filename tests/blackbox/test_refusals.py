"""What a refusal or a failure of the CA means for whoever asks again."""

import datetime

import pytest

from gate import Gate
from test_gate import NOW, SOON, certificate, days, live_tasks, stamp, state


def parse(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(
        tzinfo=datetime.timezone.utc)


def now_of(standin):
    return parse(standin.clock()["now"])


def is_due_in(standin, task, span):
    """Give or take what the gate's clock has gone on while the stand-in's stood still."""
    waits = parse(task["status"]["due"]) - now_of(standin)
    return abs(waits - span) < datetime.timedelta(minutes=1)


DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)


# A Retry-After without sense.

ABSURD = [9223372036854775807, 4611686018427387904, 3153600000]


@pytest.mark.parametrize("seconds", ABSURD)
def test_an_absurd_retry_after_holds_for_a_month_at_most(standin, gate, seconds):
    """The server itself writes a due time that it cannot read."""
    standin.put_state(**state(now=stamp(NOW), frozen=True, ca={"refuse": True,
                                                               "refuse_seconds": seconds}))
    task = gate.renew()
    standin.run()
    assert gate.renew() == task
    only, = live_tasks(standin)
    assert only["id"] == task and is_due_in(standin, only, 31 * DAY)
    standin.ca(refuse=False)
    standin.clock(advance=31 * 86400 + 60)
    assert gate.renew() == task
    assert standin.run() == 1 and standin.counters()["certificates"] == 1


@pytest.mark.parametrize("seconds", ABSURD)
def test_an_absurd_refusal_of_a_failed_task_is_no_time_for_the_server(standin, gate, seconds):
    reason = f"Rate limited. Retry after {seconds} seconds"
    failed = {"id": "jp173xlcamqb", "@type": "AcmeRenewal", "domainId": "b", "status": {
        "@type": "Failed", "createdAt": SOON, "failedAt": SOON, "failedAttemptNumber": 10,
        "failureReason": reason}}
    standin.put_state(**state(tasks=[failed], now=stamp(NOW), frozen=True))
    task = gate.renew()
    assert task and gate.renew() == task
    only, = live_tasks(standin)
    assert is_due_in(standin, only, 31 * DAY - datetime.timedelta(minutes=10))


def test_a_renewal_beyond_the_servers_calendar(standin):
    """A certificate without an end: its renewal is queued for the last moment that can be told."""
    endless = {"notValidBefore": days(-3), "notValidAfter": "3000-12-31T23:59:59Z"}
    standin.put_state(**state([certificate(endless)], renew_before="R45"))
    with Gate(standin.port, NOT_DUE="schedule") as gate:
        task = gate.renew()
    only, = live_tasks(standin)
    assert only["id"] == task


# A certificate's common name.

def test_a_common_name_that_is_no_host_does_not_count(standin, gate):
    standin.put_state(**state(ca={"common_name": "Example Corp Mail Server"}))
    assert gate.renew()
    standin.run()
    only, = live_tasks(standin)
    assert {gate.renew() for _ in range(5)} == {only["id"]}
    standin.run()
    assert standin.counters()["orders"] == 1
