"""What an image of the gate has in it is enough to run, and no more."""

import http.client
import json
import os
import re
import shutil
import subprocess

import pytest

from building import alone
from gate import Gate
from standin import ROOT, basic, binary
from test_gate import FRESH, certificate, state

COMPOSE = ROOT / "deploy/container/compose.yaml"
PAGE = (ROOT / "docs/deployment.md").read_text()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The image's content, from the program as it is released."""
    if os.geteuid() != 0 or not shutil.which("strip"):
        pytest.skip("only root can change its root")
    with alone("release"):
        subprocess.run(["make", "--silent", "build/release/renewgate"], cwd=ROOT, check=True,
                       capture_output=True)
    folder = tmp_path_factory.mktemp("image") / "rootfs"
    subprocess.run([ROOT / "deploy/container/rootfs.sh", ROOT / "build/release/renewgate", folder],
                   check=True, capture_output=True)
    return folder


def inside(root, *arguments, **settings):
    environment = {"RENEWGATE_" + key: str(value) for key, value in settings.items()}
    return subprocess.run(["/usr/sbin/chroot", "--userspec=10088:10088", root, "/usr/sbin/renewgate",
                           *arguments], env=environment, capture_output=True, text=True, timeout=60)


def test_it_runs_with_nothing_else(root, standin):
    standin.put_state(**state([certificate(FRESH)]))
    settings = {"UPSTREAM_URL": standin.url, "ADMIN_LISTEN": "[::]:0",
                "SERVICE_AUTHORIZATION": basic()}
    wrapper = ["/usr/sbin/chroot", "--userspec=10088:10088", root]
    with Gate(standin.port, program="/usr/sbin/renewgate", wrapper=wrapper, MODE="observe",
              ADMIN_LISTEN="[::]:0") as gate:
        gate.renew()
        assert gate.decisions(1)[0]["observed"]
        settings["ADMIN_LISTEN"] = f"[::]:{gate.admin_port}"
        alive = inside(root, "--alive", **settings)
        assert (alive.returncode, alive.stdout, alive.stderr) == (0, "", "")
        checked = inside(root, "--check", **settings)
        assert checked.returncode == 0 and "accepted; it may" in checked.stdout
    gone = inside(root, "--alive", **settings)
    assert gone.returncode == 1 and "healthz" in gone.stderr


def test_it_is_found_alive_without_ipv6():
    """Containers have none by default, though a socket may listen on "::"."""
    alone = ["unshare", "--net", "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && "
             "ip link set lo up && exec \"$@\"", "sh"]
    if not shutil.which("ip") or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no network without IPv6 can be made here")
    with Gate(1, wrapper=alone, ADMIN_LISTEN="[::]:9088") as gate:
        alive = subprocess.run(
            ["nsenter", f"--net=/proc/{gate.process.pid}/ns/net", binary("renewgate"), "--alive"],
            env={"RENEWGATE_UPSTREAM_URL": "http://127.0.0.1:1", "RENEWGATE_ADMIN_LISTEN": "[::]:9088"},
            capture_output=True, text=True)
    assert (alive.returncode, alive.stderr) == (0, "")


def test_names_are_found_and_authorities_known(root):
    resolved = inside(root, "--check", UPSTREAM_URL="http://localhost:1")
    assert "Could not resolve" not in resolved.stdout
    assert (root / "etc/ssl/certs/ca-certificates.crt").stat().st_size > 100000


def test_it_is_small_and_has_no_shell(root):
    files = [path for path in root.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 30_000_000
    assert [path.name for path in files if os.access(path, os.X_OK) and "lib" not in path.parts
            and not re.search(r"\.so(\.|$)", path.name)] == ["renewgate"]
    packages = (root / "usr/share/doc/renewgate/packages").read_text()
    for name in ("libc6", "libssl3", "libcurl4", "libmicrohttpd", "ca-certificates"):
        assert name in packages
    assert all((root / "usr/share/doc" / line.split()[0] / "copyright").exists()
               for line in packages.splitlines())


def docker(*arguments, **more):
    return subprocess.run(["docker", *arguments], cwd=ROOT, capture_output=True, text=True, **more)


@pytest.fixture(scope="module")
def image():
    """Built as the page says, with what is here: nothing is fetched from a registry of images."""
    if not shutil.which("docker") or docker("info").returncode != 0:
        pytest.skip("no docker daemon answers")
    if docker("image", "inspect", "debian:trixie-slim").returncode != 0:
        pytest.skip("the image debian:trixie-slim is not here")
    command = re.search(r"^docker (build .*)$", PAGE, re.M)[1].split()
    built = docker(*command)
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    return json.loads(docker("image", "inspect", "renewgate").stdout)[0]


def test_the_pages_image_runs(image, standin):
    assert image["Size"] < 30_000_000
    assert image["Config"]["User"] == "10088"
    assert image["Config"]["Healthcheck"]["Test"] == ["CMD", "/usr/sbin/renewgate", "--alive"]
    standin.put_state(**state([certificate(FRESH)]))
    command = re.search(r"^docker (run .*?[^\\])$", PAGE, re.M | re.S)[1].replace("\\\n", "")
    # The stand-in is on this machine's loopback, and no other container is to be in the way.
    command = command.replace("-p 8088:8088", "--network host --detach -e RENEWGATE_LISTEN=127.0.0.1:0 "
                              "-e RENEWGATE_ADMIN_LISTEN=127.0.0.1:0")
    container = docker(*command.replace("http://stalwart:8080", standin.url).split()).stdout.strip()
    try:
        following = subprocess.Popen(["docker", "logs", "--follow", container], text=True,
                                     stderr=subprocess.PIPE)
        ready = json.loads(next(line for line in following.stderr if '"ready"' in line))
        admin = "RENEWGATE_ADMIN_LISTEN=" + ready["admin_listen"]
        assert docker("exec", "-e", admin, container, "/usr/sbin/renewgate", "--alive").returncode == 0
        connection = http.client.HTTPConnection(ready["listen"], timeout=60)
        connection.request("GET", "/jmap/session")
        assert connection.getresponse().status == 200
        connection.close()
        docker("stop", container)
        assert '"stopped"' in following.communicate()[1]
        ended = json.loads(docker("inspect", container).stdout)[0]
        assert ended["State"]["ExitCode"] == 0 and ended["HostConfig"]["ReadonlyRootfs"]
    finally:
        docker("rm", "--force", container)


def test_compose_takes_the_file():
    if not shutil.which("docker") or docker("compose", "version").returncode != 0:
        pytest.skip("docker compose is not installed")
    checked = docker("compose", "-f", COMPOSE, "config", "--quiet")
    assert checked.returncode == 0, checked.stderr


def test_compose_names_what_is_there():
    text = COMPOSE.read_text()
    help_text = subprocess.run([binary("renewgate"), "--help"], capture_output=True, text=True,
                               check=True).stdout
    for name in re.findall(r"^ +#? ?RENEWGATE_([A-Z_]+):", text, re.M):
        assert f"RENEWGATE_{name.removesuffix('_FILE')}" in help_text, name
    commands = re.findall(r"^#   (docker compose .*)$", text, re.M)
    assert len(commands) == 2 and all(command in PAGE for command in commands)


def test_compose_is_yaml_with_what_it_speaks_of():
    yaml = pytest.importorskip("yaml")
    compose = yaml.safe_load(COMPOSE.read_text())
    gate = compose["services"]["renewgate"]
    assert set(gate["networks"]) <= set(compose["networks"])
    assert (COMPOSE.parent / gate["build"]["context"] / gate["build"]["dockerfile"]).resolve() == \
        ROOT / "deploy/container/Containerfile"
    assert gate["environment"]["RENEWGATE_MODE"] == "observe"
    assert compose["networks"]["behind-the-gate"]["internal"]
    assert gate["environment"]["RENEWGATE_PUBLIC_URL"] == \
        compose["services"]["stalwart"]["environment"]["STALWART_PUBLIC_URL"]
