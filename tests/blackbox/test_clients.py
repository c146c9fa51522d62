"""Programs that know nothing of the gate work through it as they are."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from certificates import Authority
from gate import Gate
from servers import TlsFront
from test_gate import FRESH, NO_OP, certificate, state
from wire import Upstream

HERE = pathlib.Path(__file__).parent.parent / "clients"
CLIENTS = pathlib.Path("build/clients").resolve()
PYTHON = CLIENTS / "bin/python"


def run(*command, **options):
    """What a program writes; it must end well."""
    ended = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                           timeout=120, **options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def needs(path, what):
    if not pathlib.Path(path).exists():
        pytest.skip(f"{what} is not there: tests/clients/install.sh")


def needs_program(name):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")


@pytest.fixture
def gate(standin):
    """In front of a server whose own URLs lead elsewhere, with a fresh certificate stored."""
    with Gate(standin.port) as gate:
        put_session(standin, "https://mail.example.org")
        yield gate


def put_session(standin, url):
    first, *others = standin.state()["users"]
    users = [{**first, "name": "admin", "password": "secret", "token": "a-token"}, *others]
    standin.put_state(**state([certificate(FRESH)], public_url=url, users=users))


# curl.

def test_curl(standin, gate, tmp_path):
    needs_program("curl")
    url = f"http://127.0.0.1:{gate.port}"
    login = ["curl", "-sS", "--fail-with-body", "-u", "admin:secret"]
    session = json.loads(run(*login, "-L", url + "/.well-known/jmap"))
    assert session["apiUrl"] == url + "/jmap/"
    body = json.dumps({"using": ["urn:ietf:params:jmap:core"], "methodCalls": [
        ["x:Task/set", {"create": {"k": {"@type": "AcmeRenewal", "domainId": "b"}}}, "c"]]})
    answer = json.loads(run(*login, "-H", "Content-Type: application/json", "-d", body,
                            session["apiUrl"]))
    assert answer["methodResponses"][0][1]["created"]["k"]["id"].startswith(NO_OP)
    big = tmp_path / "big"
    big.write_bytes(os.urandom(3_000_000))
    upload = url + "/jmap/upload/b/"
    for options in (["-T", big, "-X", "POST"], ["--data-binary", f"@{big}"],
                    ["--data-binary", f"@{big}", "-H", "Transfer-Encoding: chunked"],
                    ["--data-binary", f"@{big}", "-H", "Expect: 100-continue"]):
        blob = json.loads(run(*login, *options, upload))
        assert blob["size"] == 3_000_000
    download = f"{url}/jmap/download/b/{blob['blobId']}/x?accept=text/plain"
    straight = download.replace(str(gate.port), str(standin.port))
    assert run(*login, "-o", tmp_path / "a", download, "-o", tmp_path / "b", straight) == ""
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert "HTTP/1.1 200" in run(*login, "-I", download)


# JMAP libraries.

def test_jmapc(standin, tmp_path):
    """It speaks https only."""
    needs(PYTHON, "jmapc")
    put_session(standin, "https://mail.example.org")
    authority = Authority(tmp_path)
    with TlsFront(authority.issue("localhost", "DNS:localhost")) as front:
        url = f"https://localhost:{front.port}"
        with Gate(standin.port, PUBLIC_URL=url) as gate:
            front.behind = gate.port
            found = json.loads(run(PYTHON, HERE / "jmapc_client.py", f"localhost:{front.port}",
                                   env={**os.environ,
                                        "REQUESTS_CA_BUNDLE": str(authority.certificate)}))
    assert found["api"] == url + "/jmap/" and found["echo"] == {"hello": "world"}
    assert len(set(found["ids"])) == 1 and found["ids"][0].startswith(NO_OP)
    assert found["size"] == 300000


def test_jmaplib(gate):
    needs(PYTHON, "jmaplib")
    url = f"http://127.0.0.1:{gate.port}"
    found = json.loads(run(PYTHON, HERE / "jmaplib_client.py", url + "/.well-known/jmap"))
    assert found == {"api": url + "/jmap/", "echo": {"hello": "world"}, "size": 300000,
                     "downloaded": 300000}


def test_jmap_jam(gate):
    needs_program("node")
    needs(CLIENTS / "node_modules/jmap-jam", "jmap-jam")
    url = f"http://127.0.0.1:{gate.port}"
    script = shutil.copy(HERE / "jam_client.mjs", CLIENTS)  # where Node.js looks for its package
    found = json.loads(run("node", script, url + "/jmap/session", "a-token"))
    assert found["api"] == url + "/jmap/" and found["echo"] == {"hello": "world"}
    assert len(set(found["ids"])) == 1 and found["ids"][0].startswith(NO_OP)
    assert found["size"] == 300000


# WebDAV.

@pytest.fixture
def dav(tmp_path):
    """A WebDAV server's folder and port."""
    needs(PYTHON, "wsgidav")
    folder = tmp_path / "served"
    folder.mkdir()
    server = subprocess.Popen([PYTHON, HERE / "dav_server.py", folder], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    yield folder, int(server.stdout.readline())
    server.terminate()
    server.wait(30)
    server.stdout.close()


def test_cadaver(dav, tmp_path):
    needs_program("cadaver")
    folder, port = dav
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(os.urandom(300_000))
    commands = f"""mkcol a
        put {source} a/one-file
        copy a/one-file a/two
        move a/two a/three
        mkcol b
        move a/three b/
        propset b/three colour blue
        propget b/three colour
        lock b/three
        unlock b/three
        get b/three {copy}
        delete a/one-file
        rmcol a
        ls b
        ls missing
        quit
        """
    with Gate(port) as gate:
        said = run("cadaver", f"http://127.0.0.1:{gate.port}/", input=commands,
                   env={**os.environ, "HOME": str(tmp_path)})
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert copy.read_bytes() == source.read_bytes() == (folder / "b/three").read_bytes()
    assert "404 Not Found" in said and said.count("failed") == 1, said
    assert "Value of colour is: blue" in said, said


# A browser.

PAGE = """<!doctype html><body>waiting<script>
const options = {{credentials: "include", headers: {{"Authorization": "Basic eDp5",
                  "Content-Type": "application/json", "X-Own": "1"}}}};
async function ask(method) {{
  const answer = await fetch("{url}/jmap/x?y", {{method, ...options,
      body: method === "GET" ? undefined : "{{}}"}});
  return [answer.status, answer.headers.get("X-Shown"), answer.headers.get("X-Hidden"),
          await answer.text()].join(" ");
}}
(async () => {{
  const all = [];
  try {{ for (const method of ["PUT", "REPORT", "GET"]) all.push(await ask(method)); }}
  catch (error) {{ all.push(String(error)); }}
  document.body.textContent = all.join("; ");
}})();
</script>"""


def allow(line, request):
    """A server that lets pages of another origin in, with credentials."""
    origin = request.value(b"Origin") or b"null"
    fields = [b"Access-Control-Allow-Origin: " + origin, b"Vary: Origin",
              b"Access-Control-Allow-Credentials: true", b"X-Shown: shown", b"X-Hidden: hidden"]
    if request.method == b"OPTIONS":
        line.send(b"\r\n".join([b"HTTP/1.1 204 No Content", *fields,
                                b"Access-Control-Allow-Methods: GET, PUT, REPORT",
                                b"Access-Control-Allow-Headers: authorization, content-type, x-own",
                                b"", b""]))
    else:
        body = request.method + b" " + (request.value(b"Cookie") or b"no cookie")
        line.send(b"\r\n".join([b"HTTP/1.1 200 OK", *fields, b"Set-Cookie: a=b; Path=/",
                                b"Access-Control-Expose-Headers: X-Shown",
                                b"Content-Length: %d" % len(body), b"", body]))


def test_a_browsers_fetch_with_credentials(tmp_path):
    needs_program("chromium")
    with Upstream(allow) as server, Gate(server.port) as gate, Upstream() as pages:
        page = PAGE.format(url=f"http://127.0.0.1:{gate.port}").encode()
        pages.answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n" \
                       b"\r\n%s" % (len(page), page)
        shown = run("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
                    "--virtual-time-budget=20000", f"--user-data-dir={tmp_path}",
                    f"http://127.0.0.1:{pages.port}/")
    assert "200 shown  PUT no cookie; 200 shown  REPORT a=b; 200 shown  GET a=b" in shown, shown
    methods = [request.method for request in server.requests]
    assert [methods.count(method) for method in (b"PUT", b"REPORT", b"GET")] == [1, 1, 1]
    assert b"OPTIONS" in methods
