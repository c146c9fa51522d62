"""What an image of the gate has in it is enough to run, and no more."""

import os
import re
import shutil
import subprocess

import pytest

from gate import Gate
from standin import ROOT, basic
from test_gate import FRESH, certificate, state

COMPOSE = ROOT / "deploy/container/compose.yaml"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The image's content, from the program as it is released."""
    if os.geteuid() != 0 or not shutil.which("strip"):
        pytest.skip("only root can change its root")
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
    for name in ("libc6", "libssl3", "libcurl4", "ca-certificates"):
        assert name in packages
    assert all((root / "usr/share/doc" / line.split()[0] / "copyright").exists()
               for line in packages.splitlines())


def test_compose_names_what_is_there():
    text = COMPOSE.read_text()
    help_text = subprocess.run([ROOT / "build/release/renewgate", "--help"], capture_output=True,
                               text=True).stdout if (ROOT / "build/release/renewgate").exists() else None
    for name in re.findall(r"^ +#? ?RENEWGATE_([A-Z_]+):", text, re.M):
        assert help_text is None or f"RENEWGATE_{name.removesuffix('_FILE')}" in help_text, name
    page = (ROOT / "docs/deployment.md").read_text()
    for command in re.findall(r"^#   (docker compose .*)$", text, re.M):
        assert command in page


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
