"""What a release is made of: the same bytes from the same commit, and a list of what is linked."""

import hashlib
import json
import re
import subprocess

import pytest

from standin import ROOT, binary

VERSION = (ROOT / "VERSION").read_text().strip()


def make(*targets):
    done = subprocess.run(["make", "--no-print-directory", *targets], cwd=ROOT, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tarball_is_the_same_each_time():
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone, and a tarball is made of a commit")
    sums = []
    for _ in range(2):
        make("dist")
        sums.append(hashlib.sha256((ROOT / f"build/renewgate-{VERSION}.tar.gz").read_bytes()).digest())
    assert sums[0] == sums[1]


def test_the_list_of_what_is_linked_is_whole():
    program = str(binary("renewgate").resolve())
    bill = json.loads(subprocess.run([ROOT / "deploy/sbom.py", program], check=True,
                                     capture_output=True).stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", bill["serialNumber"])
    assert bill["metadata"]["component"]["version"] == VERSION
    names = [component["name"] for component in bill["components"]]
    for library in ("libcurl", "libjansson", "libssl", "libgnutls", "libhiredis", "libmicrohttpd", "libc6"):
        assert any(name.startswith(library) for name in names), library
    assert all(re.fullmatch(r"pkg:deb/debian/\S+@\S+\?arch=\w+&distro=\w+", component["purl"])
               for component in bill["components"])
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    patches = [patch["diff"]["url"] for component in bill["components"]
               for patch in component.get("pedigree", {}).get("patches", [])]
    assert patches == [f"deploy/{name}" for name in re.findall(r" with (\S+), part of", said)]
    assert all((ROOT / patch).exists() for patch in patches)
    assert bill["dependencies"][0]["dependsOn"] == [each["bom-ref"] for each in bill["components"]]


def test_the_charts_version_is_the_gates():
    chart = (ROOT / "deploy/helm/renewgate/Chart.yaml").read_text()
    assert re.search(r"^version: (.*)$", chart, re.M)[1] == VERSION
    assert re.search(r'^appVersion: "(.*)"$', chart, re.M)[1] == VERSION


def test_the_changelogs_top_section_is_of_this_version_or_not_yet_released():
    top = re.search(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.M)[1]
    assert top == "Unreleased" or re.fullmatch(rf"{re.escape(VERSION)} \(\d{{4}}-\d\d-\d\d\)", top)
