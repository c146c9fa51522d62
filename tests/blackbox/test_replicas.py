"""Several gates in front of one server: what the lock that they share makes of them."""

import concurrent.futures
import contextlib
import json

import pytest

from certificates import Authority
from gate import Gate
from lock_server import FakeLockServer, Redis, good
from standin import Standin
from test_gate import DUE, FRESH, LOOKUP, NO_OP, certificate, domain, live_tasks, state
from test_operator import run
from waiting import wait_until

IDS = ["c", "d", "f", "g", "h", "i", "j", "k", "l", "m"]
LOST = "the lock server is not in use: this replica decides alone"
IN_USE = "the lock server is in use"
# Longer than a busy machine may keep anyone waiting, where it is not what the test is about.
PATIENT = {"LOCK_TIMEOUT": "10s"}


@pytest.fixture
def redis():
    with Redis() as server:
        yield server


@pytest.fixture
def fresh():
    """A server with one fresh domain, where it is all the same which version it is."""
    with Standin("v0.16.18", state([certificate(FRESH)])) as server:
        yield server


@contextlib.contextmanager
def replicas(standin, count, url, **settings):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Gate(standin.port, LOCK_URL=url, **{**PATIENT, **settings}))
               for _ in range(count)]


def messages(gate):
    return [json.loads(line)["message"] for line in list(gate.lines) if line.startswith("{")]


wait_for = wait_until


def metric(gate, name):
    lines = gate.admin("/metrics")[1].splitlines()
    return int(next(line for line in lines if line.startswith(name + " ")).split()[1])


def ten_due_domains(standin):
    standin.put_state(**state(domains=[domain(id, f"{id}.test", provider="c") for id in IDS]))


def create_three_hundred(gates, pool):
    """Thirty creates for each of ten domains, spread over the gates: domain and answer."""
    return [pool.submit(lambda i=i: (IDS[i % 10], gates[i % len(gates)].renew(IDS[i % 10])))
            for i in range(300)]


# One task a domain.

@pytest.mark.workers
def test_three_hundred_creates_over_three_replicas_make_one_task_a_domain(standin, redis):
    ten_due_domains(standin)
    with replicas(standin, 3, redis.url, WORKERS=2) as gates:
        with concurrent.futures.ThreadPoolExecutor(300) as pool:
            answers = [future.result() for future in create_three_hundred(gates, pool)]
        assert all(metric(gate, "renewgate_lock_in_use") == 1 for gate in gates)
    made = {task["domainId"]: task["id"] for task in live_tasks(standin)}
    assert sorted(made) == IDS and len(live_tasks(standin)) == 10
    assert set(answers) == set(made.items())


@pytest.mark.workers
def test_a_lock_server_that_is_killed_and_restarted_costs_at_most_one_more_task(standin, redis):
    ten_due_domains(standin)
    with replicas(standin, 3, redis.url, WORKERS=2) as gates:
        with concurrent.futures.ThreadPoolExecutor(300) as pool:
            futures = create_three_hundred(gates, pool)
            concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED)
            redis.kill()
            redis.start()
            answers = [future.result() for future in futures]
        for gate in gates:
            wait_for(lambda: metric(gate, "renewgate_lock_in_use") == 1)
    made = {id: [task["id"] for task in live_tasks(standin) if task["domainId"] == id]
            for id in IDS}
    assert all(1 <= len(tasks) <= 2 for tasks in made.values())
    assert all(answer in made[id] for id, answer in answers)


def test_requests_that_share_domains_do_not_wait_for_each_other_for_ever(standin, redis):
    ten_due_domains(standin)

    def call(gate, i):
        order = IDS[i % 10:] + IDS[:i % 10]
        creates = {id: {"@type": "AcmeRenewal", "domainId": id} for id in order}
        (_, answer), = gate.call(["x:Task/set", {"create": creates}])
        return {id: made["id"] for id, made in answer["created"].items()}

    with replicas(standin, 3, redis.url) as gates:
        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            answers = list(pool.map(lambda i: call(gates[i % 3], i), range(30)))
    assert len(live_tasks(standin)) == 10
    assert all(answer == answers[0] for answer in answers)


def test_a_domain_that_another_replica_decides_about_is_waited_for(standin, redis):
    standin.put_state(**state([certificate(DUE)]))
    with replicas(standin, 1, redis.url) as [gate], \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        redis.say("SET", "renewgate:{b}:lease", "another's")
        answer = pool.submit(gate.renew)
        wait_for(lambda: metric(gate, "renewgate_lock_waits_total") == 1)
        assert not answer.done() and not live_tasks(standin)
        redis.say("DEL", "renewgate:{b}:lease")
        only = answer.result()
    assert [task["id"] for task in live_tasks(standin)] == [only]
    assert redis.say("KEYS", "*:lease") == []


def test_a_client_that_leaves_leaves_no_lease(standin, redis):
    standin.put_state(**state([certificate(DUE)]))
    standin.fault(match=LOOKUP, hang=True, times=1)
    with replicas(standin, 1, redis.url, LOOKUP_TIMEOUT="1h", DRAIN_TIMEOUT="0s") as [gate], \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(gate.renew)
        wait_for(lambda: redis.say("KEYS", "*:lease") == ["renewgate:{b}:lease"])
        assert gate.stop() == 0
        assert answer.exception() is not None
    assert redis.say("KEYS", "*:lease") == []


def test_what_a_killed_replica_decided_about_is_free_once_its_lease_ends(standin, redis):
    standin.put_state(**state([certificate(DUE)]))
    standin.fault(match=LOOKUP, hang=True, times=1)
    killed = Gate(standin.port, LOCK_URL=redis.url, LOOKUP_TIMEOUT="1h", **PATIENT)
    with replicas(standin, 1, redis.url) as [gate], \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        unanswered = pool.submit(killed.renew)
        wait_for(lambda: redis.say("KEYS", "*:lease") == ["renewgate:{b}:lease"])
        killed.process.kill()
        killed.process.wait()
        standin.clear_faults()
        assert unanswered.exception() is not None
        answer = pool.submit(gate.renew)
        wait_for(lambda: metric(gate, "renewgate_lock_waits_total") == 1)
        assert 0 < redis.say("PTTL", "renewgate:{b}:lease") <= 30000
        redis.say("PEXPIRE", "renewgate:{b}:lease", 1)
        only = answer.result()
    assert [task["id"] for task in live_tasks(standin)] == [only]


def test_a_late_owner_takes_nothing_from_another(standin, redis):
    standin.put_state(**state([certificate(FRESH)]))
    standin.fault(match=LOOKUP, hang=True, times=1)
    with replicas(standin, 1, redis.url, LOOKUP_TIMEOUT="1h") as [gate], \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(gate.renew)
        wait_for(lambda: redis.say("KEYS", "*:lease") == ["renewgate:{b}:lease"])
        redis.say("SET", "renewgate:{b}:lease", "another's")
        standin.clear_faults()
        answer.result()
    assert redis.say("GET", "renewgate:{b}:lease") == "another's"


def test_an_id_that_was_forwarded_without_a_look_up_is_known_to_all(standin, redis):
    standin.put_state(**state([certificate(FRESH)]))
    standin.fault(match=LOOKUP, status=503, body="no", times=100)
    with replicas(standin, 3, redis.url) as gates:
        ids = {gate.renew() for gate in gates + gates}
    assert len(ids) == 1 and len(standin.state()["tasks"]) == 1


def test_replicas_of_different_servers_share_a_lock_server_by_prefix(standin, redis):
    standin.put_state(**state([certificate(FRESH)]))
    with replicas(standin, 1, redis.url, LOCK_PREFIX="other") as [gate]:
        redis.say("SET", "renewgate:{b}:lease", "another's")
        assert gate.renew().startswith(NO_OP)


# The lock server fails, and comes back.

def test_a_lock_server_that_starts_anew_is_waited_for_a_while(fresh, redis):
    with replicas(fresh, 1, redis.url) as [gate], \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        redis.kill()
        wait_for(lambda: LOST in messages(gate))
        answer = pool.submit(gate.renew)
        for _ in range(50):
            gate.call(["Core/echo", {}])
        assert not answer.done()
        redis.start()
        assert answer.result().startswith(NO_OP)
        assert metric(gate, "renewgate_lock_in_use") == 1


def assert_works_alone(gate):
    assert gate.renew().startswith(NO_OP)
    assert metric(gate, "renewgate_lock_in_use") == 0
    wait_for(lambda: metric(gate, "renewgate_lock_failures_total") > 2)
    assert messages(gate).count(LOST) == 1


def assert_is_back(gate):
    wait_for(lambda: metric(gate, "renewgate_lock_in_use") == 1)
    assert gate.renew().startswith(NO_OP)
    assert messages(gate).count(LOST) == 1 and messages(gate).count(IN_USE) >= 1


ANSWERS = {
    "nothing": None,
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "half": b"$5\r\nab",
    "array": b"*1000000000\r\n",
    "deep": b"*1\r\n" * 1000,
    "long": b"$2000000000\r\n" + b"x" * 100000,
    "line": b"+" + b"x" * 100000,
    "number": b":7\r\n",
    "two": b"$-1\r\n$-1\r\n:1\r\n+OK\r\n",
    "zeroes": b"\0" * 100,
    "NUL": b"$3\r\na\0b\r\n",
    "resp3": b"#t\r\n",
    "OOM": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "MOVED": b"-MOVED 7 127.0.0.1:1\r\n",
    "LOADING": b"-LOADING Redis is loading the dataset in memory\r\n",
}


def patience(answer):
    """Short where the gate has to wait for what does not come."""
    return "1s" if answer in ("nothing", "half") else "10s"


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_lock_server_that_ceases_to_serve_is_done_without(fresh, answer):
    """The next lease and all that is said after it are answered badly, until it is well again."""
    ill = []

    def say(words):
        return ANSWERS[answer] if ill and words[0] == "EVAL" else good(words)

    with FakeLockServer(say) as server, \
            Gate(fresh.port, LOCK_URL=server.url, LOCK_TIMEOUT=patience(answer)) as gate:
        assert gate.renew().startswith(NO_OP)
        ill.append(True)
        assert gate.renew().startswith(NO_OP)
        assert_works_alone(gate)
        ill.clear()
        assert_is_back(gate)


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_lock_server_that_never_served_keeps_nothing_from_starting(fresh, answer):
    with FakeLockServer(lambda _: ANSWERS[answer]) as server, \
            Gate(fresh.port, LOCK_URL=server.url, LOCK_TIMEOUT=patience(answer)) as gate:
        assert_works_alone(gate)
        server.answer = good
        assert_is_back(gate)


def test_a_lock_server_that_is_gone_and_comes_back(fresh, redis):
    with Gate(fresh.port, LOCK_URL=redis.url, LOCK_TIMEOUT="1s") as gate:
        redis.kill()
        wait_for(lambda: LOST in messages(gate))
        assert_works_alone(gate)
        redis.start()
        assert_is_back(gate)


@pytest.mark.parametrize("ill, well", [
    (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    (("ACL", "SETUSER", "default", "-eval"), ("ACL", "SETUSER", "default", "+eval")),
    (("ACL", "SETUSER", "default", "resetkeys"), ("ACL", "SETUSER", "default", "~renewgate:*")),
], ids=["OOM", "READONLY", "NOPERM", "NOPERM-keys"])
def test_a_real_server_that_refuses(fresh, redis, ill, well):
    with Gate(fresh.port, LOCK_URL=redis.url, **PATIENT) as gate:
        redis.say(*ill)
        gate.renew()
        assert_works_alone(gate)
        redis.say(*well)
        assert_is_back(gate)


# Getting in.

def test_tls(fresh, tmp_path):
    right, wrong = Authority(tmp_path, "right"), Authority(tmp_path, "wrong")
    cert, key = right.issue("lock", "IP:127.0.0.1")
    with Redis("--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file",
               right.certificate, "--tls-auth-clients", "no", port_option="--tls-port") as server:
        url = server.url.replace("redis:", "rediss:")
        with Gate(fresh.port, LOCK_URL=url, LOCK_CA=right.certificate, **PATIENT) as gate:
            assert gate.renew().startswith(NO_OP)
            assert metric(gate, "renewgate_lock_in_use") == 1
            server.kill()
            wait_for(lambda: LOST in messages(gate))
            server.start()
            assert_is_back(gate)
        for settings in [{"LOCK_CA": wrong.certificate}, {}]:
            with Gate(fresh.port, LOCK_URL=url, **PATIENT, **settings) as gate:
                assert_works_alone(gate)
        with Gate(fresh.port, LOCK_URL=server.url, **PATIENT) as gate:
            assert_works_alone(gate)


def test_user_password_and_database(fresh, tmp_path):
    secret = "p@ss w/rd"
    quoted = "p%40ss%20w%2Frd"
    with Redis("--requirepass", secret, password=secret) as server:
        server.say("ACL", "SETUSER", "gate", "on", ">" + secret, "~renewgate:*", "+eval", "+get",
                   "+set", "+del", "+pexpire", "+select")
        host = server.url.removeprefix("redis://")
        file = tmp_path / "url"
        file.write_text(f"redis://gate:{quoted}@{host}/3\n")
        for setting in [{"LOCK_URL": f"redis://:{quoted}@{host}"}, {"LOCK_URL_FILE": file}]:
            with Gate(fresh.port, **setting, **PATIENT) as gate:
                assert gate.renew().startswith(NO_OP)
                assert metric(gate, "renewgate_lock_in_use") == 1
        for url in [f"redis://:hunter2@{host}", f"redis://gate:hunter2@{host}", f"redis://{host}"]:
            with Gate(fresh.port, LOCK_URL=url, **PATIENT) as gate:
                assert_works_alone(gate)
                assert "hunter2" not in "".join(gate.lines)


def test_a_password_that_the_server_repeats_is_not_logged(fresh):
    def say(words):
        return b"-ERR unknown command, with args: " + " ".join(words[1:]).encode() + b"\r\n"

    with FakeLockServer(say) as server:
        url = server.url.replace("//", "//:hunter2@")
        with Gate(fresh.port, LOCK_URL=url, **PATIENT) as gate:
            wait_for(lambda: LOST in messages(gate))
            assert "hunter2" not in "".join(gate.lines)


def test_check(fresh, redis):
    settings = {"UPSTREAM_URL": f"http://127.0.0.1:{fresh.port}", "LOCK_TIMEOUT": "10s"}
    fine = run("--check", LOCK_URL=redis.url, **settings)
    assert fine.returncode == 0 and f"127.0.0.1:{redis.port} can be used" in fine.stdout
    redis.say("CONFIG", "SET", "requirepass", "right")
    wrong = run("--check", LOCK_URL=redis.url.replace("//", "//:hunter2@"), **settings)
    assert wrong.returncode == 1 and "WRONGPASS" in wrong.stdout
    assert "hunter2" not in wrong.stdout + wrong.stderr
