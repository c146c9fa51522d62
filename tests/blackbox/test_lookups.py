"""What deciding costs the server, and that it is read to its end."""

import pytest

from gate import Gate
from test_gate import (DUE, FRESH, NO_OP, TASK, certificate, days, domain, live_tasks, state,
                       task)


def requests(standin):
    return standin.counters()["http_requests"]


def renew_all(gate, ids, calls=1):
    """One request, its creates spread over some calls; domain id -> answered task id."""
    share = -(-len(ids) // calls)
    lots = [ids[i:i + share] for i in range(0, len(ids), share)]
    creates = [{id: {"@type": "AcmeRenewal", "domainId": id} for id in lot} for lot in lots]
    answers = gate.call(*(["x:Task/set", {"create": each}] for each in creates))
    assert [set(answer["created"]) for _, answer in answers] == [set(each) for each in creates]
    return {id: made["id"] for _, answer in answers for id, made in answer["created"].items()}


def fill(standin, count, **certificates):
    """So many domains, each with a certificate or none; their ids."""
    standin.put_state(generate={"domains": count, "suffix": "test", **certificates,
                                "subjectAlternativeNames": {"mail": True}})
    return [each["id"] for each in standin.state()["domains"]]


def test_a_create_costs_two_requests_cold_and_one_warm(standin):
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port) as gate:
        for lookups in (2, 1, 1):
            standin.reset_counters()
            assert gate.renew().startswith(NO_OP)
            assert requests(standin) == lookups + 1


def test_a_known_task_is_not_searched_for_again(standin):
    """It stands behind more tasks of others than a look-up reads at first."""
    others = [{"@type": "AcmeRenewal", "domainId": "z", "status": {
        "@type": "Pending", "due": days(10)}} for _ in range(150)]
    standin.put_state(**state([certificate(DUE)], [*others, task(days(20))]))
    with Gate(standin.port) as gate:
        for lookups in (4, 2):
            standin.reset_counters()
            assert gate.renew(status={"@type": "Pending", "due": days(30)}) == TASK
            assert requests(standin) == lookups + 1


def test_a_list_once_read_is_known_for_all_domains(standin):
    """Who reads the queue to its end for one due domain spares the next ones that."""
    tasks = [{"@type": "AcmeRenewal", "domainId": "z", "status": {
        "@type": "Pending", "due": days(10)}} for _ in range(150)]
    standin.put_state(**state(
        [certificate(DUE), certificate(DUE, ["mail.c.test"])],
        [*tasks, task(days(20)), task(days(21), id="p222", domain="c")],
        domains=[domain(), domain("c", "c.test")]))
    later = {"@type": "Pending", "due": days(30)}
    with Gate(standin.port) as gate:
        for id, answered, lookups in (("b", TASK, 4), ("c", "p222", 2)):
            standin.reset_counters()
            assert gate.renew(id, status=later) == answered
            assert requests(standin) == lookups + 1


def test_a_task_that_is_gone_since_the_list_was_read_is_no_answer(standin):
    """What was seen on the way is verified; where it is gone the list is read again."""
    tasks = [{"@type": "AcmeRenewal", "domainId": "z", "status": {
        "@type": "Pending", "due": days(10)}} for _ in range(150)]
    domains = [domain(), domain("c", "c.test")]
    certificates = [certificate(DUE), certificate(DUE, ["mail.c.test"])]
    later = {"@type": "Pending", "due": days(30)}
    with Gate(standin.port) as gate:
        standin.put_state(**state(certificates, [
            *tasks, task(days(20)), task(days(21), id="p222", domain="c")], domains=domains))
        assert gate.renew(status=later) == TASK
        standin.put_state(**state(certificates, [
            *tasks, task(days(20)), task(days(22), id="p22z", domain="c")], domains=domains))
        standin.reset_counters()
        assert gate.renew("c", status=later) == "p22z"
        assert requests(standin) == 4 + 1


def test_a_long_queue_of_due_tasks_is_read_to_its_end(standin):
    """More are due than a look-up reads at first."""
    others = [{"@type": "AcmeRenewal", "domainId": "z", "status": {
        "@type": "Pending", "due": days(-2)}} for _ in range(150)]
    standin.put_state(**state([certificate(DUE)], [*others, task(days(-1))]))
    with Gate(standin.port) as gate:
        assert gate.renew() == TASK


def test_the_servers_own_name_is_asked_for_once(standin):
    standin.put_state(**state(domains=[domain(names=()), domain("c", "c.test", names=())]))
    with Gate(standin.port) as gate:
        for _ in range(3):
            gate.renew()
            gate.renew("c")
    assert standin.counters()["methods"]["x:ClusterNode/get"] == 1
    assert [entry["target"] for entry in standin.log()].count("/jmap/session") == 0


def test_certificates_are_asked_for_by_the_name_that_fewest_have(standin):
    neighbours = [certificate(FRESH, [f"host{i}.example.org"]) for i in range(600)]
    names = ["example.org", "mail.example.org"]
    standin.put_state(**state([certificate(FRESH, names), *neighbours],
                              domains=[domain(names=names)]))
    with Gate(standin.port) as gate:
        standin.reset_counters()
        assert gate.renew().startswith(NO_OP)
        assert requests(standin) == 2 + 1


@pytest.mark.parametrize("certificates", [{"certificate_age_days": 1}, {}], ids=["fresh", "none"])
def test_five_hundred_cold_creates_cost_a_request_for_each_hundred(standin, certificates):
    ids = fill(standin, 500, **certificates)
    with Gate(standin.port) as gate:
        standin.reset_counters()
        answered = renew_all(gate, ids)
        assert requests(standin) <= 5 + 1
    assert all(id.startswith(NO_OP) == bool(certificates) for id in answered.values())
    assert len(live_tasks(standin)) == (0 if certificates else 500)


def test_sixteen_calls_with_five_hundred_creates_each(standin):
    """As many as the server takes in one request; a tenth of them is due."""
    ids = fill(standin, 8000, certificate_age_days=1)
    for each in (found := standin.state())["certificates"][::10]:
        each.update(DUE)
    standin.put_state(**found)
    with Gate(standin.port) as gate:
        standin.reset_counters()
        answered = renew_all(gate, ids, calls=16)
        assert requests(standin) <= 80 + 1
        assert len(set(answered.values())) == 8000
        made = live_tasks(standin)
        assert len(made) == 800
        assert {task["id"] for task in made} == \
            {id for id in answered.values() if not id.startswith(NO_OP)}
        standin.reset_counters()
        assert renew_all(gate, ids, calls=16) == answered
        assert len(live_tasks(standin)) == 800


@pytest.mark.parametrize("newest", [True, False])
def test_a_certificate_among_many_that_share_its_words(standin, newest):
    """The word search finds them all, newest first, and gives five hundred at a time."""
    others = [certificate(FRESH, ["mail.example.org", f"also{i}.test"]) for i in range(1100)]
    own = [certificate(FRESH)]
    standin.put_state(**state(others + own if newest else own + others))
    with Gate(standin.port) as gate:
        assert gate.renew().startswith(NO_OP)


def test_many_domains_that_share_words_with_many(standin):
    """Some of those that one request asks for have more certificates than an answer holds."""
    crowd = [certificate(FRESH, ["mail.b.test", f"also{i}.test"]) for i in range(1100)]
    names = ["b", "c", "d", "f", "g", "h"]
    own = [certificate(FRESH, [f"mail.{name}.test"]) for name in names]
    standin.put_state(**state(own[::-1] + crowd, domains=[
        domain(name, f"{name}.test", provider="c") for name in names]))
    with Gate(standin.port) as gate:
        assert all(id.startswith(NO_OP) for id in renew_all(gate, names).values())


def test_domains_of_one_name_set_share_a_certificate(standin):
    """Where the list of all certificates is read, one can be the answer for several."""
    ids = list("bcdfghijklmn")
    standin.put_state(**state([certificate(FRESH, ["shared.test"])], domains=[
        domain(id, f"{id}.test", names=["shared.test"], provider="c") for id in ids]))
    with Gate(standin.port) as gate:
        assert all(id.startswith(NO_OP) for id in renew_all(gate, ids).values())


def test_a_domain_found_fresh_stays_so_while_tasks_are_read_on(standin):
    """Another of the request is due, so the list of tasks is read to its end, and certificates
    once more."""
    tasks = [{"@type": "AcmeRenewal", "domainId": "z", "status": {
        "@type": "Pending", "due": "2099-01-01T00:00:00Z"}} for _ in range(150)]
    standin.put_state(**state([certificate(FRESH), certificate(DUE, ["mail.c.test"])], tasks,
                              domains=[domain(), domain("c", "c.test", provider="c")]))
    with Gate(standin.port) as gate:
        answered = renew_all(gate, ["b", "c"])
    assert answered["b"].startswith(NO_OP) and not answered["c"].startswith(NO_OP)
