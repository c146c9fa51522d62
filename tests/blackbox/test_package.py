"""The Debian package of the current commit: what it does to the machine where it is installed."""

import shutil
import subprocess

import pytest

from building import alone
from standin import ROOT


@pytest.fixture(scope="module")
def package():
    """Built, and looked over by lintian."""
    for program in ("dh", "git", "lintian", "scdoc"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: deploy/install-dependencies.sh deb")
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone, and a package is made of a commit")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True,
                            check=True).stdout
    stamp = ROOT / "build/deb/commit"
    with alone("deb"):
        if not stamp.exists() or stamp.read_bytes() != commit:
            built = subprocess.run([ROOT / "deploy/build-deb.sh"], capture_output=True, text=True)
            assert built.returncode == 0, built.stdout + built.stderr
            stamp.write_bytes(commit)
    deb, = (ROOT / "build/deb").glob("renewgate_*.deb")
    return deb


@pytest.fixture(scope="module")
def scripts(package, tmp_path_factory):
    """Its maintainer scripts by name."""
    folder = tmp_path_factory.mktemp("control")
    subprocess.run(["dpkg-deb", "-e", package, folder], check=True)
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_there_is_a_source_package_with_nothing_of_this_machine(package):
    """Which debuild takes, as the binary one was built from it."""
    source, = (ROOT / "build/deb").glob("renewgate_*.dsc")
    assert "Format: 3.0 (native)" in source.read_text()
    tarball, = (ROOT / "build/deb").glob("renewgate_*.tar.xz")
    listed = subprocess.run(["tar", "-tf", tarball], capture_output=True, text=True,
                            check=True).stdout.splitlines()
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True,
                             check=True).stdout.splitlines()
    files = {name.split("/", 1)[1] for name in listed if not name.endswith("/")}
    moved = {name.removeprefix("deploy/") if name.startswith("deploy/debian/") else name
             for name in tracked}
    moved.discard(".gitignore")  # which dpkg-source leaves out
    assert files == moved | {"debian/changelog", "debian/renewgate.service",
                             "debian/renewgate.sysusers"}


def test_it_brings_what_the_documents_say(package):
    listed = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True,
                            check=True).stdout
    for path in ("/usr/sbin/renewgate", "/usr/share/man/man8/renewgate.8.gz",
                 "/etc/renewgate/renewgate.env", "/lib/systemd/system/renewgate.service",
                 "/sysusers.d/renewgate.conf", "/usr/share/doc/renewgate/README.md"):
        assert path + "\n" in listed, path


def test_an_upgrade_leaves_no_gap_that_a_person_must_close(scripts):
    """The mail server's clients would find nobody."""
    assert "deb-systemd-invoke $_dh_action 'renewgate.service'" in scripts["postinst"]
    assert "_dh_action=restart" in scripts["postinst"]
    assert "stop" not in scripts.get("preinst", "")


def test_who_removes_it_is_rid_of_it(scripts):
    assert "deb-systemd-invoke stop 'renewgate.service'" in scripts["prerm"]


def test_settings_that_were_changed_are_kept(scripts):
    assert scripts["conffiles"] == "/etc/renewgate/renewgate.env\n"
