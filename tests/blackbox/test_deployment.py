"""The deployment page's commands, as they stand, on a copy of this machine's /etc and /usr."""

import json
import os
import re
import shlex
import shutil
import subprocess

import pytest

from certificates import Authority
from gate import Gate
from lock_server import Redis
from standin import ROOT, Standin, basic
from test_gate import DUE, certificate, state

PAGE = (ROOT / "docs/deployment.md").read_text()

# The machine that the page is read on has these; here they write down that they were called.
FAKES = {
    "systemctl": 'echo "systemctl $*" >> "$CALLS"',
    "systemd-sysusers": "getent group renewgate > /dev/null || groupadd --system renewgate",
    "journalctl": 'cat "$JOURNAL"',
}


def blocks(heading):
    """The shell blocks below a heading of the page, up to the next one."""
    text = re.split(r"^#+ ", PAGE.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.M)[0]
    return re.findall(r"^ *```sh\n(.*?)^ *```", text, re.M | re.S)


def block(heading, words):
    found, = [each for each in blocks(heading) if words in each]
    return found


class Machine:
    """/etc, /usr and root's home can be written to, and nothing of it stays."""

    def __init__(self, folder, **environment):
        self.folder = folder
        self.calls = folder / "calls"
        self.calls.touch()
        self.journal = folder / "journal"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RENEWGATE_")}
        self.environment = {**clean, "CALLS": str(self.calls), "JOURNAL": str(self.journal),
                            "PATH": f"{folder / 'fakes'}:/usr/sbin:/usr/bin:/sbin:/bin",
                            **environment}
        (folder / "fakes").mkdir()
        for name, script in FAKES.items():
            (folder / "fakes" / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / "fakes" / name).chmod(0o755)
        self.mounts = ""
        for name in ("etc", "usr"):
            upper, work = folder / name / "upper", folder / name / "work"
            upper.mkdir(parents=True)
            work.mkdir()
            self.mounts += (f"mount -t overlay overlay -o lowerdir=/{name},upperdir={upper},"
                            f"workdir={work} /{name} || exit 77\n")

    def run(self, commands):
        """In a shell that ends at the first that fails."""
        script = f"{self.mounts}set -e\ncd {shlex.quote(str(ROOT))}\n{commands}"
        ended = subprocess.run(["unshare", "--mount", "bash", "-c", script], capture_output=True,
                               text=True, timeout=300, env=self.environment)
        if ended.returncode == 77 or ended.stderr.startswith("unshare: "):
            pytest.skip("no overlay can be mounted here")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def written(self):
        """What was put into the copies, and is there still."""
        return {str(path.relative_to(self.folder).as_posix()).replace("/upper", "", 1)
                for name in ("etc", "usr") for path in (self.folder / name / "upper").rglob("*")
                if path.is_file()}


@pytest.fixture
def machine(tmp_path):
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("scdoc"):
        pytest.skip("only root can try an installation")
    # An overlay's upper side can be no overlay itself, as /tmp of a container may be.
    return Machine(tmp_path)


def install(machine, server):
    """Without the package; that one is for test_package.py, and whoever has a machine to spare."""
    commands = block("systemd, without the package", "make install")
    machine.run(commands.replace(
        "deploy/install-dependencies.sh && deploy/build-libmicrohttpd.sh\n", ""))
    machine.run(f"sed -i 's|^RENEWGATE_UPSTREAM_URL=.*|RENEWGATE_UPSTREAM_URL={server.url}|' "
                "/etc/renewgate/renewgate.env")


def test_from_installing_to_observing_to_enforcing_and_out_again(machine):
    with Standin("v0.16.18", state([certificate(DUE)])) as server:
        install(machine, server)
        assert {"usr/sbin/renewgate", "etc/renewgate/renewgate.env",
                "etc/systemd/system/renewgate.service"} <= machine.written()
        assert machine.calls.read_text() == "systemctl daemon-reload\n"

        given = machine.run(block("A credential of its own", "install -m 640") +
                            "cat /etc/renewgate/authorization; echo; stat -c %a-%G /etc/renewgate/auth*")
        assert given.splitlines() == [basic("renewgate@example.org", "a long random password"),
                                      "640-renewgate"]

        # The user is one of the stand-in's.
        as_admin = f"printf %s '{basic()}' > /etc/renewgate/authorization\n"
        planned = machine.run(as_admin + block("Observe", "sweep --dry-run"))
        assert planned.endswith("\n1 change to be made; none was, this is a dry run\n")
        shown = machine.run(block("Debian package", "renewgate audit").replace(
            "renewgate audit ", "renewgate audit || [ $? -eq 1 ] "))
        assert "example.org" in shown

        with Gate(server.port, MODE="observe") as gate:
            gate.renew()
            gate.decisions(1)
            machine.journal.write_text("Started renewgate.service\n" + "\n".join(gate.lines) + "\n")
        seen = machine.run(block("Observe", "journalctl"))
        assert seen == "forward\t8\texample.org\ta renewal is due and none is queued\n"

        machine.run(block("Enforce", "MODE=enforce"))
        settings = machine.run("grep MODE= /etc/renewgate/renewgate.env")
        assert settings == "RENEWGATE_MODE=enforce\n"
        machine.run(block("Take it out", "make uninstall"))
    left = {path for path in machine.written() if "renewgate" in path}
    assert left == set()
    assert machine.calls.read_text().splitlines() == [
        "systemctl daemon-reload", "systemctl restart renewgate", "systemctl restart renewgate",
        "systemctl disable --now renewgate", "systemctl daemon-reload"]


def test_the_unit_leaves_the_process_little():
    """systemd's own measure, which also takes offence at a name that it does not know."""
    unit = ROOT / "deploy/systemd/renewgate.service"
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    measured = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=15", unit],
                              capture_output=True, text=True)
    assert measured.returncode == 0, measured.stdout[-300:] + measured.stderr
    assert "Unknown" not in measured.stderr, measured.stderr


def test_the_unit_tries_again_what_may_mend_itself():
    """Of the statuses that the runbook has, 2 is the one of a configuration that is wrong."""
    unit = (ROOT / "deploy/systemd/renewgate.service").read_text().splitlines()
    assert {"Restart=on-failure", "StartLimitIntervalSec=0", "RestartPreventExitStatus=2"} <= set(unit)
    assert re.search(r"^\| 2 \| all \| the configuration", (ROOT / "docs/runbook.md").read_text(), re.M)


def test_replicas_lock_with_the_rights_that_the_page_names(machine, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("lock", "DNS:localhost")
    rights = " ".join(re.search(r"A user of its own needs(.*?)\. ", PAGE, re.S)[1].split("`")[1::2])
    commands = block("Replicas", "RENEWGATE_LOCK_URL")
    user, password = re.search(r"//(\w+):(\w+)@valkey.example.org:6379/\d", commands).groups()
    with Standin("v0.16.18", state()) as server, Redis(
            "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file",
            authority.certificate, "--tls-auth-clients", "no", "--user", user, "on", ">" + password,
            *rights.split(), port_option="--tls-port") as lock:
        install(machine, server)
        machine.run(f"echo RENEWGATE_LOCK_CA={authority.certificate} >> /etc/renewgate/renewgate.env")
        commands = commands.replace("valkey.example.org:6379", f"localhost:{lock.port}")
        assert " can be used\n" in machine.run(commands)
        refused = commands.replace(f":{password}@", ":another@")
        machine.run(refused.replace("renewgate --check", "! renewgate --check"))


CALLS = re.findall(r"^curl -u admin .*?^ .*?\]\}'\n", PAGE, re.M | re.S)


@pytest.mark.parametrize("command", CALLS, ids=lambda call: re.search(r'\["(x:\w+/\w+)"', call)[1])
def test_calls_for_the_servers_side_are_whole(standin, command):
    """The stand-in knows some of them; all are requests, each call of which is answered."""
    standin.put_state(**state())
    command = command.replace("curl -u admin ", "curl -sS -u admin:secret ")
    command = command.replace("http://127.0.0.1:8080", standin.url)
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    names = re.findall(r'\["(x:\w+/\w+)"', command)
    answered = json.loads(ended.stdout)["methodResponses"]
    assert len(answered) == len(names)
    for (name, answer, _), asked in zip(answered, names):
        assert name == asked or answer["type"] == "unknownMethod"


def test_each_call_of_the_page_is_tried():
    assert len(CALLS) == PAGE.count("curl -u admin") > 2
