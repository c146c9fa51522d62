"""The server's clock counts, wherever the gate's own stands."""

import pytest

from gate import Gate
from test_gate import FRESH, LATER, NO_OP, certificate, live_tasks, state, task

DAY = 86400


def test_a_certificate_becomes_due_when_the_servers_time_comes(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port) as gate:
        assert gate.renew().startswith(NO_OP)
        standin.clock(advance=58 * DAY)
        id = gate.renew()
    assert [task["id"] for task in live_tasks(standin)] == [id]


@pytest.mark.parametrize("days, fresh", [(58, False), (-2, True)])
def test_the_first_look_up_already_tells_the_time(standin, days, fresh):
    standin.put_state(**state([certificate(FRESH)]))
    standin.clock(advance=days * DAY)
    with Gate(standin.port) as gate:
        assert gate.renew().startswith(NO_OP) == fresh


def test_a_task_that_is_due_by_the_servers_time_is_the_answer(standin):
    standin.put_state(**state([], [task(LATER)]))
    standin.clock(advance=190 * DAY + 3600)
    with Gate(standin.port) as gate:
        gate.renew()
        assert gate.decisions(1)[0]["row"] == 2
    assert live_tasks(standin)[0]["status"]["due"] == LATER

