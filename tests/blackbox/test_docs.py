"""The documents say what is so: variables, links, commands."""

import json
import re
import shutil
import subprocess

import pytest

from standin import ROOT, binary

PAGES = sorted(page for page in ROOT.glob("**/*.md") if "build" not in page.parts)


def fences(page):
    """The shell commands that a page shows, line by line."""
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(), re.M | re.S):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            yield line.split(" #")[0].strip()


def anchors(page):
    """What GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_reference_page_is_the_programs_own_table():
    table = subprocess.run([binary("renewgate"), "--help-markdown"], capture_output=True,
                           text=True, check=True).stdout
    page = (ROOT / "docs/configuration.md").read_text()
    assert page.endswith("do not edit below -->\n\n" + table), 'run "make docs"'


# What docs/security.md says of a limit, where it is in the code, and what it is there.
LIMITS = [
    ("`tls-alpn-01` | 64 with those that end, 16 a client; ten seconds", "passthrough.h", {
        "PASSTHROUGH_MAX": "64", "PASSTHROUGH_MAX_EACH": "16", "PASSTHROUGH_MILLISECONDS": "10000"}),
    ("connections for challenges | 64 a worker", "worker.h", {"WORKER_CHALLENGES": "64U"}),
    ("the server does not answer | 10 seconds", "challenge.h",
     {"CHALLENGE_TIMEOUT": "10000"}),
    ("admin address | 32, half of them one client's; 30 seconds", "admin.c", {
        "MAX_CONNECTIONS": "32U", "MAX_CONNECTIONS_EACH": "(MAX_CONNECTIONS / 2)",
        "IDLE_SECONDS": "30U"}),
    ("to the server | 256 a worker, 25 seconds", "upstream_connection.c", {
        "IDLE_CONNECTIONS": "256", "IDLE_SECONDS": "25"}),
    ("each a thread | 1 a worker, of up to 300 seconds", "upstream_names.c", {
        "LOOK_UP_SECONDS": "300"}),
    ("26 for the gate itself and 8 a worker, then two", "open_files.c", {
        "OWN_FILES": "26UL", "WORKER_FILES": "8UL", "CLIENT_FILES": "2UL"}),
    ("whatever is allowed | 90; 65,534 bytes; 384 KiB", "validation.h", {
        "VALIDATION_FIELDS": "((size_t)90)", "VALIDATION_TARGET": "((size_t)65534)",
        "VALIDATION_HEAD": "((size_t)393216)"}),
    ("chunk's size | 4,096; 4,096 bytes", "answer_parser.c", {
        "FIELDS_LIMIT": "((size_t)4096)", "CHUNK_LINE_LIMIT": "4096"}),
    ("looked at | 4,096 bytes;", "proxy_header.h", {
        "PROXY_HEADER_LIMIT": "((size_t)4096)"}),
    ("4,096 bytes; 16 KiB", "acceptor.c", {"HELLO_LIMIT": "16384"}),
    ("a forwarding field | 32 |", "forwarding.c", {"HOPS_LIMIT": "32"}),
    ("those above 64 KiB", "budget.h", {"BUDGET_SMALL": "((size_t)65536)"}),
    ("32 MiB and 4 times its text", "reading.h", {
        "READING_BASE": "((size_t)32 << 20)", "READING_FACTOR": "4"}),
    ("read whole | 64 MiB", "api_call.h", {"API_ANSWER_LIMIT": "((size_t)64 << 20)"}),
    ("a session 1 MiB", "public_session.h", {
        "PUBLIC_SESSION_LIMIT": "((size_t)1 << 20)"}),
    ("each way | 128 KiB", "exchange_state.h", {"STREAM_FULL": "((size_t)131072)"}),
    ("each way | 128 KiB", "websocket.c", {"STREAM_FULL": "((size_t)131072)"}),
    ("at once, 64 KiB", "upstream_parts.h", {"BLOCK_SIZE": "((size_t)65536)"}),
    ("nobody needs any more | 256 MiB", "exchange.c", {
        "UNNEEDED_LIMIT": "((size_t)256 << 20)"}),
    ("is cut into | 17 |", "hold_continuation.c", {"CUTS_MAX": "16"}),
    ("lock server | 64 KiB", "lock_protocol.c", {"UNREAD_LIMIT": "((size_t)65536)"}),
    ("of one request | 8,000", "hold_state.h", {"HOLD_DOMAINS_MAX": "8000"}),
    ("a create | 200,000", "lookup.c", {"MORE_TASKS": "200000"}),
    ("300, and one for each four domains", "lookup.c", {
        "REQUESTS_MAX": "300", "DOMAINS_A_REQUEST_MORE": "4"}),
    ("at once | 4,000", "own_request.h", {
        "OWN_REQUEST_IDS": "400", "OWN_REQUEST_CALLS": "10"}),
    ("still sends | 16 KiB", "downstream_answer.c", {"SENT_AT_ONCE": "((size_t)16384)"}),
    ("remembered | 131,072", "memory.h", {"MEMORY_DOMAINS": "((size_t)1 << 17)"}),
    ("remembered | 1,048,576", "memory_record.c", {"CERTIFICATE_BUCKETS": "((size_t)1 << 16)"}),
    ("provider | 1,000,000", "order_book.c", {"ORDERS_MAX": "1000000"}),
    ("in it | 4,096 bytes", "log_writer.h", {"LOG_LINE_SIZE": "((size_t)4096)"}),
    ("4,096 bytes; 1,024", "log.c", {"TEXT_LIMIT": "((size_t)1024)"}),
    ("that wait | 256 KiB", "log_writer.c", {"QUEUE_SIZE": "((size_t)262144)"}),
]


@pytest.mark.parametrize("said, file, values", LIMITS, ids=[said for said, _, _ in LIMITS])
def test_limits_are_those_of_the_code(said, file, values):
    assert said in (ROOT / "docs/security.md").read_text()
    found = [path for room in ("proxy", "jmap") for path in (ROOT / room).rglob(file)]
    text, = (path.read_text() for path in found)
    for name, value in values.items():
        assert re.search(rf"\b{name}(?: =)? {re.escape(value)}[\s,]", text), f"{name} is not {value}"


DEFAULTS = {"MAX_CONNECTIONS": "8192", "MAX_HEAD": "16384", "MAX_REQUEST": "10000000",
            "MAX_BUFFERED": "268435456", "DRAIN_TIMEOUT": "10s", "HEADER_TIMEOUT": "30s",
            "IDLE_TIMEOUT": "5m", "CONNECT_TIMEOUT": "5s", "LOOKUP_TIMEOUT": "5s",
            "FLIGHT_TIMEOUT": "35s"}


@pytest.mark.parametrize("name", DEFAULTS)
def test_limits_of_variables_have_the_defaults_that_security_md_tells(name):
    page = (ROOT / "docs/configuration.md").read_text()
    assert f"| `RENEWGATE_{name}` | `{DEFAULTS[name]}` |" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), target
        if anchor and linked.suffix == ".md":
            assert anchor in set(anchors(linked)), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_name_what_is_there(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    help_text = subprocess.run([binary("renewgate"), "--help"], capture_output=True, text=True,
                               check=True).stdout
    for line in fences(page):
        for script in re.findall(r"(?:^|[\s;&])((?:deploy|tests)/[\w./-]+)", line):
            assert (ROOT / script).exists(), line
        for name in re.findall(r"\bRENEWGATE_([A-Z_]+)=", line):
            assert f"RENEWGATE_{name.removesuffix('_FILE')}" in help_text or name == "BUILD", line
        for option in re.findall(r"(?:^|/|\s)renewgate (--[a-z-]+|[a-z]+)", line):
            assert f"renewgate {option}" in help_text, line
        if line.startswith("make "):
            for word in line.split("#")[0].split()[1:]:
                assert "=" in word or word.startswith("-") or word in targets, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_can_be_pasted(page):
    """A question would be answered by the next line that is pasted."""
    for line in fences(page):
        if re.search(r"\bapt(-get)? (install|purge|remove)\b", line):
            assert " -y " in line, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_have_the_server_they_need(page):
    """The unit has its settings, root's shell has not."""
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(), re.M | re.S):
        asks = re.search(r"^renewgate (--check|audit|explain|sweep)", block, re.M)
        assert not asks or "/etc/renewgate/renewgate.env" in block[:asks.start()], block


FILTERS = [(page.name, command) for page in PAGES for command in
           re.findall(r"^journalctl [^|]*\|\s*(jq [^']*'[^']*')", page.read_text(), re.M)]


@pytest.mark.parametrize("page, command", FILTERS, ids=lambda value: value[:20])
def test_filters_of_the_log_take_what_the_journal_has(page, command):
    """systemd's own words about the unit, which are no JSON, and the line that is looked for."""
    if not shutil.which("jq"):
        pytest.skip("jq is not installed")
    decision = {"time": "2026-11-25T08:35:48Z", "level": "warn", "message": "decision",
                "domain": "example.org", "outcome": "forward", "row": 8, "why": "none is stored",
                "peer": "127.0.0.1"}
    journal = "Started renewgate.service - Gate.\n" + json.dumps(decision) + "\nStopped renewgate.\n"
    ended = subprocess.run(["bash", "-c", command], input=journal, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    line, = ended.stdout.splitlines()
    assert "example.org" in line


def test_the_log_is_filtered_on_every_page_that_tells_how():
    assert {page for page, _ in FILTERS} == {"deployment.md", "runbook.md"}


def test_the_man_page_is_well_formed(tmp_path):
    """scdoc takes it, with every variable in it."""
    page = tmp_path / "renewgate.8"
    subprocess.run(["make", "-s", f"BUILD={binary('').name}", f"MAN={page}", str(page)], cwd=ROOT,
                   check=True, capture_output=True)
    text = page.read_text().replace("\\_", "_").replace("\\-", "-")
    names = re.findall(r"RENEWGATE_[A-Z_]+", subprocess.run(
        [binary("renewgate"), "--help-markdown"], capture_output=True, text=True).stdout)
    assert names
    assert [name for name in names if name not in text] == []


def logged_messages():
    """What the code says in its log: the first words after a level, on both sides of a choice."""
    for source in sorted((ROOT / "proxy").rglob("*.c")):
        calls = re.findall(r"log_event\((.*?)(?:log_(?:text|number|flag|time)\(|\);)",
                           source.read_text(), re.S)
        # The log's own line is composed where it is written.
        calls += re.findall(r"compose\(&line, log, LOG_LEVEL_\w+, (\"[^\"]+\"),", source.read_text())
        for call in calls:
            yield from re.findall(r'"([^"]+)"', call)


def test_the_decisions_page_has_every_row_of_the_table():
    code = (ROOT / "policy/decide.c").read_text()
    rows = set(re.findall(r"^    \{(\d+), \"", code[code.index("} rows[] = {"):], re.M))
    page = (ROOT / "docs/decisions.md").read_text()
    table = page[page.index("\n## The table"):page.index("\n## When nothing is asked")]
    picture = page[page.index("\n## The picture"):page.index("\n## The table")]
    assert len(rows) >= 10
    # Row 0, a force, is a fact of the others.
    assert rows == set(re.findall(r"^\| (\d+) \|", table, re.M)) - {"0"}
    assert rows == set(re.findall(r"(?:▶ |\(or |^ )(\d+)", picture, re.M))


def test_states_of_the_decisions_page_have_their_tests():
    page = (ROOT / "docs/decisions.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    defined = {name for path in (ROOT / "tests/blackbox").glob("test_*.py")
               for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)}
    assert len(named) > 15 and named <= defined, named - defined


def test_the_runbook_has_every_log_line():
    messages = set(logged_messages())
    assert {"ready", "sweep done", "sweep given up"} <= messages
    page = (ROOT / "docs/runbook.md").read_text()
    assert [message for message in sorted(messages) if f"| `{message}` |" not in page] == []


def test_the_runbook_names_no_log_line_that_is_gone():
    page = (ROOT / "docs/runbook.md").read_text()
    lines = page[page.index("## Log lines"):page.index("### Outcomes")]
    named = set(re.findall(r"^\| `([^`]+)` \|", lines, re.M))
    assert named - set(logged_messages()) == set()


def test_the_credential_has_the_permissions_that_check_asks_for():
    """Those, the right to log in, and the one for the setting that is warned about."""
    page = (ROOT / "docs/deployment.md").read_text()
    role = re.search(r'"enabledPermissions":\{(.*?)\}', page, re.S)[1]
    asked = re.findall(r'^    \{"(\w+)", (?:true|false), ', (ROOT / "proxy/jobs/check.c").read_text(), re.M)
    assert sorted(re.findall(r'"(\w+)":true', role)) == sorted([*asked, "authenticate", "sysHttpGet"])
