"""The manifests and the chart for Kubernetes, and the page's commands, without a cluster."""

import json
import re
import shlex
import shutil
import subprocess

import pytest

from standin import ROOT

PAGE = (ROOT / "docs/deployment.md").read_text()


@pytest.fixture
def helm():
    if not shutil.which("helm"):
        pytest.skip("helm is not installed, and not in Debian")


@pytest.fixture
def kubectl():
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed, and not in Debian")


def read(text):
    return list(filter(None, pytest.importorskip("yaml").safe_load_all(text)))


def printed(command, **more):
    """What a command that reaches no cluster has printed."""
    done = subprocess.run(command, text=True, capture_output=True, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def commands(path):
    """Those that a file of ours begins with."""
    return [shlex.split(line) for line in
            re.findall(r"^#   (kubectl .*)$", (ROOT / path).read_text(), re.M)]


def test_each_command_of_the_manifests_is_on_the_page():
    assert all(shlex.join(each) in PAGE for each in commands("deploy/kubernetes/service.yaml"))


def test_the_secret_is_the_one_that_the_gate_reads(kubectl, tmp_path):
    (tmp_path / "authorization").write_text("Basic eDp5")
    create, apply = commands("deploy/kubernetes/service.yaml")
    secret, = read(printed([*create, "--dry-run=client", "-o", "yaml"], cwd=tmp_path))
    gate = by_kind((ROOT / apply[-1]).read_text())["Deployment"]["spec"]["template"]["spec"]
    volume, = gate["volumes"]
    mount, = gate["containers"][0]["volumeMounts"]
    assert volume["secret"]["secretName"] == secret["metadata"]["name"]
    assert volume["name"] == mount["name"]
    file, = (each["value"] for each in gate["containers"][0]["env"] if each["name"].endswith("_FILE"))
    assert [file] == [f"{mount['mountPath']}/{key}" for key in secret["data"]]


def test_kubectl_can_read_the_manifests(kubectl):
    """Kinds, versions and types of members; a cluster would look at more."""
    for each in printed(["kubectl", "label", "--local", "-o", "name", "a=b", "-f",
                         "deploy/kubernetes/service.yaml"], cwd=ROOT).splitlines():
        assert each.endswith(("/renewgate", "/mail-http-by-the-gate-only")), each


def test_the_patch_puts_the_gate_beside_the_server(kubectl, tmp_path):
    labels = {"app": "mail"}
    server = {"containers": [{"name": "stalwart", "image": "stalwart"}],
              "volumes": [{"name": "data", "emptyDir": {}}]}
    (tmp_path / "mail.yaml").write_text(json.dumps({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "mail"},
        "spec": {"serviceName": "mail", "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": server}}}))
    command, = commands("deploy/kubernetes/sidecar.yaml")
    patched, = read(printed(["kubectl", "patch", "--local", "-o", "yaml", "-f",
                             tmp_path / "mail.yaml", *command[4:]], cwd=ROOT))
    pod = patched["spec"]["template"]["spec"]
    assert {each["name"] for each in pod["containers"]} == {"stalwart", "renewgate"}
    assert {each["name"] for each in pod["volumes"]} == {"data", "renewgate-authorization"}


def by_kind(text):
    documents = {document["kind"]: document for document in read(text)}
    container = documents["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    container["env"].sort(key=lambda variable: variable["name"])
    return documents


def test_the_chart_gives_the_plain_manifests(helm):
    chart = ROOT / "deploy/helm/renewgate"
    subprocess.run(["helm", "lint", "--strict", chart], check=True, capture_output=True)
    rendered = subprocess.run(["helm", "template", "renewgate", chart], check=True, text=True,
                              capture_output=True).stdout
    assert by_kind(rendered) == by_kind((ROOT / "deploy/kubernetes/service.yaml").read_text())


def test_a_chart_without_a_credential_names_no_secret(helm):
    rendered = subprocess.run(["helm", "template", "renewgate", ROOT / "deploy/helm/renewgate", "--set",
                               "authorizationSecret="], check=True, text=True, capture_output=True).stdout
    assert "ecret" not in rendered and "AUTHORIZATION" not in rendered
    assert by_kind(rendered)


def test_the_pages_chart_has_the_pages_settings(helm):
    install = shlex.split(re.search(r"^helm install .*$", PAGE, re.M)[0])
    rendered = by_kind(printed(["helm", "template", *install[2:]], cwd=ROOT))
    container = rendered["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    url = install[-1].split("=", 1)[1]
    assert {"name": "RENEWGATE_UPSTREAM_URL", "value": url} in container["env"]
