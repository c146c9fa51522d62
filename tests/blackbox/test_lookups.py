"""What deciding costs the server, and that it is read to its end."""

import pytest

from gate import Gate
from standin import basic
from test_gate import (DUE, EXPIRED, FRESH, NO_OP, TASK, certificate, days, domain, live_tasks,
                       state, task)
from test_sweep import Watcher, changes, until


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
        for lookups in (4, 1):
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
        "@type": "Pending", "due": days(-0.11)}} for _ in range(150)]
    standin.put_state(**state([certificate(DUE)], [*others, task(days(-0.1))]))
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
    many = [certificate(FRESH, ["mail.b.test", f"also{i}.test"]) for i in range(1100)]
    names = ["b", "c", "d", "f", "g", "h"]
    own = [certificate(FRESH, [f"mail.{name}.test"]) for name in names]
    standin.put_state(**state(own[::-1] + many, domains=[
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


def test_a_queue_that_is_long_is_read_in_few_requests(standin):
    """Ids first, then tasks by id; a hundred that are due and ten that follow come with the facts."""
    tasks = [{"@type": "AcmeRenewal", "domainId": "z", "status": {
        "@type": "Pending", "due": days(10)}} for _ in range(9000)]
    standin.put_state(**state([certificate(DUE)], [*tasks, task(days(20))]))
    with Gate(standin.port) as gate:
        standin.reset_counters()
        assert gate.renew(status={"@type": "Pending", "due": days(30)}) == TASK
        assert requests(standin) == 5 + 1


ENDLESS = [{"@type": "AcmeRenewal", "domainId": "z", "status": {
    "@type": "Pending", "due": days(10)}} for _ in range(4000)]


def test_a_server_that_lists_few_at_a_time_is_read_to_its_end(standin):
    """Fewer than a look-up asks for first: of tasks that are due, that follow, and of certificates."""
    others = [certificate(DUE, ["mail.example.org", f"x{i}.example.org"]) for i in range(20)]
    for certificates, queue in [([certificate(DUE)], [*ENDLESS[:30], task(days(20))]),
                                ([certificate(FRESH), *others], [])]:
        standin.put_state(**state(certificates, queue), query_max_results=7)
        with Gate(standin.port) as gate:
            assert gate.renew() == TASK if queue else gate.renew().startswith(NO_OP)


@pytest.mark.parametrize("most", [100, 7, 2])
def test_a_server_that_gives_few_objects_a_call_is_read_to_its_end(standin, most):
    """What it takes is learned once."""
    others = [certificate(DUE, ["mail.example.org", f"x{i}.example.org"]) for i in range(20)]
    for certificates, queue in [([certificate(DUE)], [*ENDLESS[:150], task(days(20))]),
                                ([certificate(FRESH), *others], [])]:
        standin.put_state(**state(certificates, queue), max_objects=most)
        with Gate(standin.port) as gate:
            assert gate.renew() == TASK if queue else gate.renew().startswith(NO_OP)
            standin.reset_counters()
            assert gate.renew() == TASK if queue else gate.renew().startswith(NO_OP)
            assert requests(standin) <= 3


def test_many_creates_at_a_server_that_gives_few_objects_a_call(standin):
    """A client's own request has no more creates than the server takes; in several calls, though."""
    ids = fill(standin, 100, certificate_age_days=10, task_due_days=50)
    with Gate(standin.port) as gate:
        expected = renew_all(gate, ids)
    standin.put_state(**(standin.state() | {"max_objects": 30}))
    with Gate(standin.port) as gate:
        assert renew_all(gate, ids, calls=4) == expected


def test_a_server_that_lists_one_at_a_time_is_not_asked_without_end(standin):
    standin.put_state(**state([certificate(DUE)], ENDLESS), query_max_results=1)
    with Gate(standin.port) as gate:
        standin.reset_counters()
        made = gate.renew()
        assert requests(standin) == 300 + 2
        decision, = gate.decisions(1)
    assert (decision["row"], decision["why"]) == (9, "the server lists too few at a time")
    assert made in [task["id"] for task in live_tasks(standin)]


def test_a_server_whose_answers_come_in_time_but_do_not_end_is_given_up(standin):
    standin.put_state(**state([certificate(DUE)], ENDLESS), query_max_results=1)
    standin.fault(match="x:Task/query", delay_ms=300)
    with Gate(standin.port, IDLE_TIMEOUT="1s") as gate:
        standin.reset_counters()
        gate.renew()
        assert requests(standin) < 20
        decision, = gate.decisions(1)
        assert (decision["row"], decision["why"]) == (9, "the look-ups took too long")


class Shrinking(Watcher):
    """Others' tasks at the beginning of the queue are gone when a look-up reads on."""

    def __init__(self, standin, left):
        super().__init__(standin, fatal=None, before=False)
        self.left, self.pages = left, 0

    def met(self, body):
        self.pages += b"x:Task/query" in body
        if self.pages == 2:
            self.behind.put_state(**self.left)


def test_a_queue_that_shrinks_while_it_is_read_hides_no_task(standin):
    others = [{"@type": "AcmeRenewal", "domainId": "z", "status": {
        "@type": "Pending", "due": days(10)}} for _ in range(130)]
    standin.put_state(**state([certificate(DUE)], [*others, task(days(20))]))
    left = state([certificate(DUE)], [*others[:5], task(days(20))])
    with Shrinking(standin, left) as between, Gate(between.port) as gate:
        assert gate.renew() == TASK
        assert between.pages >= 2


def test_twins_cost_a_request_more(standin):
    """A page of the queue comes before the certificates, so that these are read once."""
    twins = [task(days(5), id=f"p22{letter}") for letter in "bcd"]
    later = [{"@type": "AcmeRenewal", "domainId": "z", "status": {
        "@type": "Pending", "due": days(6)}} for _ in range(150)]
    standin.put_state(**state([certificate(DUE)], [*twins, *later]))
    with Gate(standin.port, MODE="observe") as gate:
        standin.reset_counters()
        gate.renew(status={"@type": "Pending", "due": days(7)})
        assert requests(standin) == 3 + 1


def test_only_who_had_no_task_is_searched_for_again(standin):
    """The rest of the queue is read for one of two; the other's task was among the first."""
    tasks = [{"@type": "AcmeRenewal", "domainId": "z", "status": {
        "@type": "Pending", "due": days(10)}} for _ in range(150)]
    standin.put_state(**state(
        [certificate(DUE), certificate(DUE, ["mail.c.test"])],
        [*tasks, task(days(1)), task(days(20), id="p222", domain="c")],
        domains=[domain(), domain("c", "c.test")]))
    with Gate(standin.port) as gate:
        standin.reset_counters()
        assert renew_all(gate, ["b", "c"]) == {"b": TASK, "c": "p222"}
        assert searches(standin) == 2 + 1


# What is remembered of certificates: where to look, and nothing else.

#: A name with the words of another domain's: who searches for that one's sees it too.
NEIGHBOUR = "mail.sub.example.org"


def neighbours(certificates, **members):
    """Two domains; the certificates of "c" are seen by who looks for those of "b"."""
    return state([certificate(FRESH), *certificates],
                 domains=[domain(), domain("c", "sub.example.org")], **members)


def neighbour(dates, id="cc", names=(NEIGHBOUR,)):
    return certificate(dates, names, id=id)


def searches(standin):
    return standin.counters()["methods"].get("x:Certificate/query", 0)


def ask_after(standin, gate, **later):
    """A create for "c", whose certificate was seen before the server's state changed."""
    gate.renew("b")
    if later:
        standin.put_state(**neighbours(**later))
    standin.reset_counters()
    return gate.renew("c")


def test_a_certificate_that_was_seen_is_read_by_its_id(standin):
    standin.put_state(**neighbours([neighbour(FRESH)]))
    with Gate(standin.port) as gate:
        assert ask_after(standin, gate).startswith(NO_OP)
        assert (requests(standin), searches(standin)) == (2 + 1, 0)
        standin.reset_counters()
        assert gate.renew("c").startswith(NO_OP)
        assert (requests(standin), searches(standin)) == (1 + 1, 0)


@pytest.mark.parametrize("seen, later, fresh, searched", [
    ([neighbour(FRESH)], [], False, 1),
    ([neighbour(FRESH)], [neighbour(DUE, "cd")], False, 1),
    ([neighbour(FRESH)], [neighbour(FRESH, "cd")], True, 1),
    ([neighbour(FRESH)], [neighbour(FRESH), neighbour(FRESH, "cd")], True, 0),
    ([neighbour(FRESH)], [neighbour(FRESH, names=["mail.other.test"])], False, 1),
    ([neighbour(FRESH)], [neighbour(FRESH, names=[NEIGHBOUR, "also.test"])], False, 1),
    ([neighbour(FRESH)], [neighbour(DUE)], False, 1),
    ([neighbour(FRESH)], [neighbour(DUE), neighbour(FRESH, "cd")], True, 1),
    ([neighbour(DUE)], [neighbour(DUE), neighbour(FRESH, "cd")], True, 1),
    ([neighbour(DUE)], [neighbour(DUE)], False, 1),
    ([neighbour(EXPIRED)], [neighbour(EXPIRED), neighbour(FRESH, "cd")], True, 1),
    ([neighbour(DUE), neighbour(FRESH, "cd")], [neighbour(DUE), neighbour(FRESH, "cd")], True, 0),
    ([neighbour(FRESH, "cd"), neighbour(DUE)], [neighbour(FRESH, "cd"), neighbour(DUE)], True, 0),
    ([neighbour(DUE), neighbour(FRESH, "cd")], [neighbour(DUE)], False, 1),
    ([], [neighbour(FRESH)], True, 1),
], ids=["destroyed", "destroyed, an older one is left", "destroyed, a newer one is stored",
        "a newer one beside it", "its id has other names", "its id has one name more",
        "it is due by now", "it is due by now, a newer one is stored",
        "it was due, a newer one is stored", "it was due and is", "it had ended, a newer one is stored",
        "two of one set, the older first", "two of one set, the newer first",
        "two of one set, the newer is destroyed", "it had none"])
def test_what_was_seen_of_a_certificate_does_not_decide(standin, seen, later, fresh, searched):
    standin.put_state(**neighbours(seen))
    with Gate(standin.port) as gate:
        answered = ask_after(standin, gate, certificates=later)
        assert answered.startswith(NO_OP) == fresh
        assert searches(standin) == searched
        assert [each["id"] for each in live_tasks(standin)] == ([] if fresh else [answered])


def test_a_renewal_that_is_due_earlier_now_is_not_missed(standin):
    """What was fresh by two thirds of its life is due by a half."""
    begun = {"notValidBefore": days(-50), "notValidAfter": days(40)}
    standin.put_state(**neighbours([neighbour(begun)]))
    with Gate(standin.port) as gate:
        answered = ask_after(standin, gate, certificates=[neighbour(begun)], renew_before="R12")
        assert answered == live_tasks(standin)[0]["id"]


def test_what_a_create_asks_for_later_is_searched_for(standin):
    """It is fresh now, and due by then; the newest decides."""
    standin.put_state(**neighbours([neighbour(FRESH)]))
    later = {"notValidBefore": days(-1), "notValidAfter": days(389)}
    with Gate(standin.port) as gate:
        gate.renew("b")
        standin.put_state(**neighbours([neighbour(FRESH), neighbour(later, "cd")]))
        assert gate.renew("c", status={"@type": "Pending", "due": days(70)}).startswith(NO_OP)
        assert not live_tasks(standin)


def test_what_is_not_there_any_more_is_looked_for_once(standin):
    standin.put_state(**neighbours([neighbour(FRESH)]))
    with Gate(standin.port) as gate:
        ask_after(standin, gate, certificates=[neighbour(FRESH, "cd")])
        assert requests(standin) == 3 + 1
        standin.reset_counters()
        gate.renew("c")
        assert requests(standin) == 1 + 1


def warm_up(standin, gate, certificates=(), queue=(), **members):
    """A domain that is due, and has a task, is looked at."""
    standin.put_state(**state(certificates, [task(), *queue], **members))
    assert gate.renew() == TASK


@pytest.mark.parametrize("certificates", [[], [certificate(DUE)], [certificate(EXPIRED)]],
                         ids=["none", "due", "ended"])
def test_who_was_due_is_searched_for_along_with_the_rest(standin, certificates):
    with Gate(standin.port) as gate:
        warm_up(standin, gate, certificates)
        for _ in range(2):
            standin.reset_counters()
            assert gate.renew() == TASK
            assert (requests(standin), searches(standin)) == (1 + 1, 1)


def test_who_was_due_has_been_renewed_since(standin):
    with Gate(standin.port) as gate:
        warm_up(standin, gate, [certificate(DUE)])
        standin.put_state(**state([certificate(DUE), certificate(FRESH)]))
        standin.reset_counters()
        assert gate.renew().startswith(NO_OP)
        assert requests(standin) == 1 + 1
        assert gate.renew().startswith(NO_OP)
        assert searches(standin) == 1


def test_who_was_due_has_other_names_by_now(standin):
    """The search by the old name is for nothing."""
    names = ["mail.elsewhere.test"]
    with Gate(standin.port) as gate:
        warm_up(standin, gate, [certificate(DUE)])
        standin.put_state(**state([certificate(FRESH, ["mail.example.org", *names]),
                                   certificate(FRESH, names)], domains=[domain(names=names)]))
        standin.reset_counters()
        assert gate.renew().startswith(NO_OP)
        assert requests(standin) == 2 + 1


def test_who_was_due_has_more_neighbours_than_an_answer_holds(standin):
    """Its own certificate is older than theirs."""
    others = [certificate(FRESH, ["mail.example.org", f"also{i}.test"]) for i in range(1100)]
    with Gate(standin.port) as gate:
        warm_up(standin, gate, [certificate(DUE), *others])
        standin.put_state(**state([certificate(FRESH), *others]))
        standin.reset_counters()
        assert gate.renew().startswith(NO_OP)
        assert requests(standin) == 3 + 1


@pytest.mark.parametrize("count, lookups", [(2, 1), (3, 2)])
def test_so_many_that_were_due_are_searched_for_along_with_the_rest(standin, count, lookups):
    ids = list("bcd")[:count]
    domains = [domain(id, f"{id}.test") for id in ids]
    tasks = [task(domain=id, id=f"p22{id}") for id in ids]
    standin.put_state(**state([certificate(DUE, [f"mail.{id}.test"]) for id in ids], tasks,
                              domains=domains))
    with Gate(standin.port) as gate:
        for expected in (2, lookups):
            standin.reset_counters()
            assert renew_all(gate, ids) == {id: f"p22{id}" for id in ids}
            assert requests(standin) == expected + 1


def test_twins_are_read_before_certificates_all_the_same(standin):
    """What was searched for along with the rest is then searched for again."""
    later = [{"@type": "AcmeRenewal", "domainId": "z", "status": {
        "@type": "Pending", "due": days(6)}} for _ in range(150)]
    standin.put_state(**state([certificate(DUE)], [task(), task(days(5), id="p22b"), *later]))
    with Gate(standin.port, MODE="observe") as gate:
        gate.renew()
        standin.reset_counters()
        gate.renew()
        assert (requests(standin), searches(standin)) == (3 + 1, 2)


@pytest.mark.parametrize("left", [["new"], ["old", "new"]], ids=["one", "twins"])
def test_a_next_renewal_is_the_newest_certificates_whatever_is_known(standin, left):
    """A certificate that comes while the known one is fresh, and the renewal that follows it."""
    dates = {"old": (days(-8), days(82), days(52)), "new": (days(-1), days(89), days(59))}
    old, new = ({"notValidBefore": begins, "notValidAfter": ends}
                for begins, ends, _ in dates.values())
    standin.put_state(**state([certificate(old)], [task(days(52))]))
    with Gate(standin.port) as gate:
        assert gate.renew() == TASK
        standin.add(certificates=[certificate(new)])
        kept = [task(dates[which][2], id={"old": TASK, "new": "jp173xlcamqb"}[which])
                for which in left]
        standin.put_state(**{**standin.state(), "tasks": kept})
        for _ in range(2):
            assert gate.renew() == "jp173xlcamqb"
        with Gate(standin.port) as cold:
            assert cold.renew() == "jp173xlcamqb"
        for _ in range(2):
            standin.reset_counters()
            assert gate.renew() == "jp173xlcamqb" and requests(standin) == 2
    only, = live_tasks(standin)
    assert (only["id"], only["status"]["due"]) == ("jp173xlcamqb", days(59))
    assert changes(standin.port, "--dry-run") == []


@pytest.mark.parametrize("ids", [("jp173xlcamqb", "jp173xlcamqc"), ("jp173xlcamqc", "jp173xlcamqb")],
                         ids=["listed first", "listed last"])
def test_a_sweep_leaves_the_newest_certificates_renewal_in_a_long_queue(standin, ids):
    """Both were queued by others; the renewal that the gate knew has run."""
    old = {"notValidBefore": days(-8), "notValidAfter": days(82)}
    new = {"notValidBefore": days(-1), "notValidAfter": days(89)}
    others = [task(days(1), domain=f"c{letter}", id=f"jp173xlcaa{letter}a")
              for letter in "abcdefghijkl"]
    standin.put_state(**state([certificate(old, id="ca")], [*others, task(days(52))]))

    def own():
        return [each for each in live_tasks(standin) if each["domainId"] == "b"]

    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="1s",
              SWEEP_RATE=1000, SURVEY_INTERVAL="off") as gate:
        until(lambda: 'renewgate_sweeps_total{result="done"} 0' not in gate.admin("/metrics")[1])
        standin.put_state(**state([certificate(old, id="ca"), certificate(new, id="cb")], [
            *others, task(days(52), id=ids[0]), task(days(59), id=ids[1])]))
        until(lambda: len(own()) == 1)
    assert (own()[0]["id"], own()[0]["status"]["due"]) == (ids[1], days(59))


def test_a_known_certificate_that_is_gone_is_searched_for_at_once(standin):
    standin.put_state(**state([certificate(FRESH, id="cb")]))
    with Gate(standin.port) as gate:
        gate.renew()
        standin.put_state(**state([certificate(FRESH, id="cc")]))
        standin.reset_counters()
        assert gate.renew().startswith(NO_OP)
        assert requests(standin) == 2 + 1


def test_who_lists_all_certificates_spares_the_others_that(standin):
    """The list is read for five hundred domains, and for none after them."""
    ids = fill(standin, 6000, certificate_age_days=1)
    with Gate(standin.port) as gate:
        for chosen, lookups in ((ids[:500], 2 + 2), (ids[500:1000], 2 + 1), (ids[1000:1001], 2)):
            standin.reset_counters()
            answered = renew_all(gate, chosen)
            assert requests(standin) == lookups + 1
            assert all(id.startswith(NO_OP) for id in answered.values())
    assert not live_tasks(standin)


def test_those_that_are_due_among_many_that_were_seen(standin):
    """Some are read by id, the others searched for."""
    ids = fill(standin, 6000, certificate_age_days=1)
    with Gate(standin.port) as gate:
        renew_all(gate, ids[:500])
        found = standin.state()
        for each in found["certificates"][500:520]:
            each.update(DUE)
        del found["certificates"][520:530]
        standin.put_state(**found)
        answered = renew_all(gate, ids[500:1000])
        forwarded = {id for id in answered.values() if not id.startswith(NO_OP)}
        assert len(forwarded) == 30
        assert {each["id"] for each in live_tasks(standin)} == forwarded


def test_a_survey_tells_which_certificate_a_domain_has(standin):
    """The first create for a domain is warm, as if another had come before it."""
    standin.put_state(**state([certificate(FRESH)]))
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="off",
              SURVEY_INTERVAL="1s") as gate:
        gate.logged("survey done")
        standin.reset_counters()
        assert gate.renew().startswith(NO_OP)
        assert searches(standin) == 0
        assert "\nrenewgate_lookup_requests_total 1\n" in gate.admin("/metrics")[1]


def add_others(standin):
    letters = "abcdefghijklmnopqrst"
    standin.add(domains=[domain(f"c{letter}", f"{letter}.test") for letter in letters],
                tasks=[task(days(1), domain=f"c{letter}", id=f"jp173xlcaa{letter}a")
                       for letter in letters])


@pytest.mark.parametrize("backdate", [0, 3600])
@pytest.mark.parametrize("part", ["R12", "R45"])
def test_a_fresh_domains_renewal_behind_many_others(standin, gate, backdate, part):
    """From the first time, without a sweep; once more asked, nothing more is asked for."""
    standin.put_state(**state(renew_before=part, ca={"backdate_seconds": backdate}))
    gate.renew()
    standin.run()
    following, = live_tasks(standin)
    add_others(standin)
    with Gate(standin.port) as fresh_gate:
        before = standin.counters()["http_requests"]
        assert fresh_gate.renew() == following["id"]
        cold = standin.counters()["http_requests"] - before
        assert fresh_gate.renew() == following["id"]
        assert cold == 4
        assert standin.counters()["http_requests"] - before - cold == 2


def test_a_fresh_domain_without_a_renewal_is_sought_once(standin):
    standin.put_state(**state([certificate(FRESH)]))
    add_others(standin)
    with Gate(standin.port) as gate:
        ids, costs = set(), []
        for _ in range(3):
            before = standin.counters()["http_requests"]
            ids.add(gate.renew())
            costs.append(standin.counters()["http_requests"] - before)
    assert len(ids) == 1 and ids.pop().startswith(NO_OP)
    assert costs == [4, 2, 2]
