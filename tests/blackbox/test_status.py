"""The status page: what it says, to whom it is readable, and what it never lets through."""

import concurrent.futures
import functools
import html.parser
import json
import re
import shutil
import subprocess

import pytest

from gate import Gate
from standin import Standin, basic
from test_gate import DUE, EXPIRED, FRESH, LATER, certificate, days, domain, retry, state, task
from waiting import wait_until

HOSTILE = ["<script>alert(1)</script>.example", "\"><img src=x onerror=alert(1)>'.example",
           "&lt;b&gt;.example", "\u202eelpmaxe.moc", "a\u0001\u0007b.example", "]]>--!>.example"]


@pytest.fixture
def standin():
    with Standin("v0.16.18") as server:
        yield server


class Page(html.parser.HTMLParser):
    """A page's elements, as (tag, attributes), and its text without the style sheet."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "elements are closed in their order"

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def letters(number, length=3):
    """A domain's id: letters that the server spells just so."""
    digits = "bcdefghijklm"
    return "b" + "".join(digits[number // 12 ** i % 12] for i in range(length))


def fill(standin, names, dates=FRESH):
    """Domains of these names, each with a certificate; their ids."""
    ids = [letters(i) for i in range(len(names))]
    standin.put_state(**state(
        [certificate(dates, [f"mail.{name}"], id="c" + id) for id, name in zip(ids, names)],
        domains=[domain(id, name) for id, name in zip(ids, names)]))
    return ids


def look(gate, target="/"):
    status, fields, body = gate.request("GET", target, port=gate.admin_port)
    assert status == 200, body
    return fields, body.decode()


def status_of(gate, query=""):
    return json.loads(look(gate, "/status.json" + query)[1])


def test_it_shows_decisions_holds_queue_and_certificates(standin):
    standin.put_state(**state(
        [certificate(dates, [f"mail.{name}"], id="c" + id) for id, name, dates in
         (("b", "fresh.example", FRESH), ("d", "due.example", DUE), ("f", "old.example", EXPIRED))],
        [task(days(57), "b"), retry(days(5), domain="d", id="jp173xlcamqc")],
        [domain("b", "fresh.example"), domain("d", "due.example"), domain("f", "old.example")]))
    with Gate(standin.port) as gate:
        for id in ("b", "b", "d", "f"):
            gate.renew(id)
        data, page = status_of(gate), Page(look(gate)[1])
    assert {name: count for name, count in data["decisions"]["last_day"].items() if count} == \
        {"existing": 3, "forward": 1}
    slots = data["decisions"]["slots"]
    assert len(slots) == 96 and sum(slot.get("existing", 0) for slot in slots[-2:]) == 3
    assert [entry["domain"] for entry in data["decisions"]["recent"]] == \
        ["old.example", "due.example", "fresh.example", "fresh.example"]
    assert [(entry["name"], entry["refused_until"]) for entry in data["held"]["items"]] == \
        [("due.example", days(5))]
    assert [entry["name"] for entry in data["queue"]["items"]] == \
        ["old.example", "due.example", "fresh.example"]
    assert [(entry["name"], entry["standing"]) for entry in data["domains"]["items"]] == \
        [("old.example", "expired"), ("due.example", "held"), ("fresh.example", "fresh")]
    assert data["domains"]["items"][2]["not_after"] == FRESH["notValidAfter"]
    assert data["domains"]["items"][2]["task"]["due"] == days(57)
    assert re.search(r"due.example in (5 d|4 d 23 h) ", page.text), "a countdown"
    for words in ("The last day", "held", "fresh.example", "expired"):
        assert words in page.text, words
    lives = [svg for svg in page.all("svg") if svg.get("class") == "life"]
    assert [re.match(r"\d+ %", svg["aria-label"])[0] for svg in lives] == ["100 %", "71 %", "3 %"]


def test_a_task_that_the_gate_moved_or_had_made_is_shown_as_it_is_now(standin):
    standin.put_state(**state(
        [certificate(DUE, ["mail.a.example"], id="cb"), certificate(FRESH, ["mail.b.example"], id="cd")],
        [task(LATER, "b")], [domain("b", "a.example"), domain("d", "b.example")]))
    with Gate(standin.port, NOT_DUE="schedule") as gate:
        moved, made = gate.renew("b"), gate.renew("d")
        items = {entry["name"]: entry for entry in status_of(gate)["domains"]["items"]}
    assert items["a.example"]["task"]["id"] == moved and items["a.example"]["tasks"] == 1
    assert items["a.example"]["task"]["due"] < days(1)
    assert items["b.example"]["task"]["id"] == made
    assert items["b.example"]["task"]["due"] == items["b.example"]["renewal_due"]


def test_a_domain_that_is_managed_by_hand_is_shown_no_more(standin):
    ids = fill(standin, ["a.example"])
    with Gate(standin.port) as gate:
        gate.renew(ids[0])
        assert status_of(gate)["domains"]["known"] == 1
        standin.put_state(**state(domains=[domain(ids[0], "a.example", kind="Manual")]))
        gate.renew(ids[0])
        assert status_of(gate)["domains"]["known"] == 0


def test_twins_that_a_create_collapses_are_shown_as_the_one_that_is_left(standin):
    standin.put_state(**state([certificate(FRESH)], [task(days(190 + i), id=f"jp173xlcam{id}a")
                                                     for i, id in enumerate("bcd")]))
    with Gate(standin.port) as gate:
        left = gate.renew()
        entry, = status_of(gate)["domains"]["items"]
    assert [task["id"] for task in standin.state()["tasks"]
            if task["status"]["@type"] == "Pending"] == [left]
    assert (entry["task"]["id"], entry["task"]["due"], entry["tasks"]) == (left, days(190), 1)


def items_of(gate):
    """What is shown of domains, by name."""
    return {entry["name"]: entry for entry in status_of(gate)["domains"]["items"]}


def test_what_a_sweep_sees_and_makes_is_shown_without_a_create(standin):
    """A domain with a fresh certificate that has lost its task, and one that has two."""
    standin.put_state(**state(
        [certificate(FRESH, ["mail.lost.example"], id="cb"),
         certificate(FRESH, ["mail.twins.example"], id="cd")],
        [task(days(50), "d", "jp173xlcamba"), task(days(51), "d", "jp173xlcamca")],
        [domain("b", "lost.example"), domain("d", "twins.example")]))
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="1s") as gate:
        wait_until(lambda: (items := items_of(gate)).keys() == {"lost.example", "twins.example"} and
                   items["lost.example"]["task"] and items["twins.example"]["tasks"] == 1)
        items = items_of(gate)
    lost, twins = items["lost.example"], items["twins.example"]
    assert lost["task"]["due"] == lost["renewal_due"]
    assert (twins["task"]["due"], twins["tasks"]) == (days(50), 1)


def wait_for_domains(gate, names):
    """Until just these are known; what is shown of them, by name."""
    wait_until(lambda: items_of(gate).keys() == names)
    return items_of(gate)


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_a_survey_shows_domains_that_need_nothing(standin, mode):
    """Healthy ones, which neither a create nor a sweep looked at; those that go are forgotten."""
    standin.put_state(**state(
        [certificate(FRESH, ["mail.a.example"], id="cb"),
         certificate(DUE, ["mail.b.example"], id="cd")],
        [task(days(57), "b", "jp173xlcamba"), retry(days(5), domain="d", id="jp173xlcamqc")],
        [domain("b", "a.example"), domain("d", "b.example"),
         domain("f", "c.example", kind="Manual")]))
    before = standin.state()
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin"), SWEEP_INTERVAL="off",
              SURVEY_INTERVAL="1s", MODE=mode) as gate:
        items = wait_for_domains(gate, {"a.example", "b.example"})
        gate.logged("survey done")
        assert {**standin.state(), "now": before["now"]} == before, "it only reads"
        standin.put_state(**state([certificate(FRESH, ["mail.a.example"], id="cb")],
                                  domains=[domain("b", "a.example")]))
        wait_for_domains(gate, {"a.example"})
    fresh, held = items["a.example"], items["b.example"]
    assert (fresh["standing"], fresh["task"]["due"], fresh["tasks"]) == ("fresh", days(57), 1)
    assert (held["standing"], held["refused_until"], held["tasks"]) == ("held", days(5), 1)
    assert fresh["not_after"] == FRESH["notValidAfter"]


def test_a_survey_that_may_not_read_is_given_up(standin):
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin", "wrong"), SWEEP_INTERVAL="off",
              SURVEY_INTERVAL="1s") as gate:
        line, = gate.logged("survey given up")[:1]
        assert status_of(gate)["domains"]["known"] == 0
    assert "credential" in line["error"]


@pytest.mark.parametrize("settings", [{"SURVEY_INTERVAL": "1s"},
                                      {"SURVEY_INTERVAL": "off",
                                       "SERVICE_AUTHORIZATION": basic("admin")}],
                         ids=["no credential", "off"])
def test_the_gate_does_not_survey(standin, settings):
    with Gate(standin.port, **settings) as gate:
        assert json.loads(gate.lines[-1])["survey_milliseconds"] == 0


def test_no_name_becomes_markup(standin):
    ids = fill(standin, HOSTILE)
    with Gate(standin.port) as gate:
        for id in ids:
            gate.renew(id)
        gate.renew("<script>")
        query = "/?domain=%22%3E%3Cscript%3Ealert(2)%3C/script%3E"
        sources = [look(gate)[1], look(gate, query)[1]]
        known = {entry["name"] for entry in status_of(gate)["domains"]["items"]}
    assert known == set(HOSTILE), "JSON has them as they are"
    for source in sources:
        page = Page(source)
        assert {tag for tag, _ in page.elements} & {"script", "img", "b", "iframe", "object"} == set()
        for _, attributes in page.elements:
            assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert not re.search(r"[\0-\x08\x0b-\x1f\x7f]", source)
    assert "<script>alert(1)</script>.example" in Page(sources[0]).text
    assert '"><script>alert(2)</script>' in [field.get("value") for field in
                                             Page(sources[1]).all("input")]


def test_the_icon_is_its_own(gate):
    icon, = [link["href"] for link in Page(look(gate)[1]).all("link")]
    fields, source = look(gate, icon)
    assert fields["Content-Type"] == "image/svg+xml" and source.startswith("<svg")
    assert "img-src 'self';" in fields["Content-Security-Policy"]


def test_a_filter_stays_in_its_place_and_says_when_nothing_fits(standin):
    ids = fill(standin, ["a.example"])
    with Gate(standin.port) as gate:
        gate.renew(ids[0])
        found, none = Page(look(gate, "/?domain=A.Ex")[1]), Page(look(gate, "/?domain=%3Cb%3E")[1])
    assert [form["action"] for form in found.all("form")] == ["/#domains"]
    assert "1 of 1, worst first" in found.text
    assert "None of 1 domains has this in its name: <b> . Show all" in none.text
    assert "Page 1 of 1" not in none.text


def test_the_latest_decisions_use_the_words_of_the_counts(standin):
    ids = fill(standin, ["a.example"])
    with Gate(standin.port) as gate:
        gate.renew(ids[0])
        page = Page(look(gate)[1])
    assert page.text.count("Answered as done: not due") == 2


def test_a_domain_without_a_certificate_counts_as_missing_while_it_is_held(standin):
    standin.put_state(**state([], [retry(days(3))]))
    with Gate(standin.port) as gate:
        gate.renew()
        data, page = status_of(gate), Page(look(gate)[1])
    assert data["domains"]["standings"]["missing"] == data["held"]["total"] == 1
    assert "Held 1 Expired or missing 1" in page.text


def test_its_policy_lets_nothing_be_loaded_run_or_framed(standin, gate):
    fields, source = look(gate)
    policy = fields["Content-Security-Policy"]
    digest = subprocess.run(
        "openssl dgst -sha256 -binary | base64", shell=True, capture_output=True,
        input=re.search(r"<style>(.*?)</style>", source, re.S)[1].encode(), check=True).stdout
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest.decode().strip()}'" in policy
    assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert fields["X-Content-Type-Options"] == "nosniff" and fields["Cache-Control"] == "no-store"
    assert not re.search(r"https?://|@import|url\(", source.replace(
        f"http://127.0.0.1:{standin.port}", "")), "nothing is from elsewhere"
    assert "http-equiv" not in source
    assert 'http-equiv="refresh"' in look(gate, "/?refresh=1")[1]


def test_it_has_no_credential(standin):
    ids = fill(standin, ["a.example"])
    with Gate(standin.port, SERVICE_AUTHORIZATION=basic("admin", "hunter2")) as gate:
        gate.renew(ids[0])
        shown = look(gate)[1] + look(gate, "/status.json")[1] + look(gate, "/metrics")[1]
    secrets = [basic("admin"), basic("admin", "hunter2")]
    assert not any(secret.split()[1] in shown for secret in secrets)


def test_domains_come_in_pages_of_a_bounded_size_and_can_be_filtered(standin):
    names = [f"{'long-' * 20}{i:03}.example" for i in range(120)]
    ids = fill(standin, names)
    with Gate(standin.port) as gate:
        for id in ids:
            gate.renew(id)
        pages = [status_of(gate, f"?page={number}")["domains"] for number in (1, 2, 3, 99)]
        filtered = status_of(gate, "?domain=G-007.EXAMPLE")["domains"]
        source = look(gate)[1]
        refused = [gate.admin(target)[0] for target in
                   ("/?page=0", "/?page=x", "/?domain=%ff", "/?domain=" + "x" * 300)]
    assert [len(page["items"]) for page in pages] == [50, 50, 20, 20]
    assert pages[3]["page"] == pages[3]["pages"] == 3
    assert {entry["name"] for page in pages for entry in page["items"]} == set(names)
    assert (filtered["total"], filtered["items"][0]["name"]) == (1, names[7])
    assert len(source) < 200_000
    assert refused == [400] * 4


def test_it_is_read_only(gate):
    assert gate.request("POST", "/", b"x", port=gate.admin_port)[0] == 405
    assert gate.request("HEAD", "/", port=gate.admin_port)[0] == 200


@pytest.mark.workers
def test_it_is_read_while_workers_decide(standin):
    ids = fill(standin, [f"{i}.example" for i in range(20)])
    targets = ["/", "/status.json", "/metrics", "/?domain=1&page=2"]
    with Gate(standin.port, WORKERS=2, METRICS_DOMAINS="on") as gate:
        # The admin address takes 16 connections of one client, those just closed among them.
        with concurrent.futures.ThreadPoolExecutor(4) as pool, \
                concurrent.futures.ThreadPoolExecutor(3) as readers:
            made = [pool.submit(gate.renew, ids[i % 20]) for i in range(100)]
            read = [readers.submit(gate.admin, targets[i % 4]) for i in range(60)]
        assert all(answer.result().startswith("p33") for answer in made)
        assert {answer.result()[0] for answer in read} == {200}
        data = status_of(gate)
    assert data["decisions"]["last_day"]["noop"] == 100 and data["domains"]["known"] == 20


# For everyone to read.

@pytest.fixture
def page(standin):
    standin.put_state(**state([certificate(DUE)], [retry(days(3))]))
    with Gate(standin.port) as gate:
        gate.renew()
        return Page(look(gate)[1])


def test_parts_and_pictures_have_names(page):
    assert dict(page.elements)["html"]["lang"] == "en"
    tags = [tag for tag, _ in page.elements]
    assert [tags.count(tag) for tag in ("header", "main", "footer", "h1")] == [1] * 4
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:]))
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for section in page.all("section"):
        assert section["aria-labelledby"] in ids
    for svg in page.all("svg"):
        assert svg.get("aria-hidden") == "true" or (svg["role"] == "img" and svg["aria-label"])
    assert {label["for"] for label in page.all("label")} == \
        {field["id"] for field in page.all("input")}
    assert all(nav["aria-label"] for nav in page.all("nav"))


def test_tables_say_what_their_cells_belong_to(page):
    assert page.all("table") and all(cell.get("scope") in ("col", "row") for cell in page.all("th"))


def test_everything_can_be_reached_by_keyboard(page):
    assert all(link["href"] for link in page.all("a"))
    assert not [1 for _, attributes in page.elements if attributes.get("tabindex", "0") != "0"]


def luminance(colour):
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
                        for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """WCAG 2.2, section 1.4.3."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_differ_enough(gate, scheme):
    style = re.search(r"<style>(.*?)</style>", look(gate)[1], re.S)[1]
    light, dark = (dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", block)) for block in
                   (re.search(r":root\{(.*?)\}", style)[1],
                    re.search(r"dark\)\{:root\{(.*?)\}", style)[1]))
    assert set(light) - {"focus"} == set(dark) - {"focus"}
    colours = light if scheme == "light" else dark
    for ground in ("ground", "sheet"):
        for text in ("text", "muted", "sent", "kept", "moot", "bad"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for fill in ("sent", "kept", "moot", "bad", "text"):
        assert contrast(colours[fill], colours["track"]) >= 3, fill


@functools.cache
def browser():
    return shutil.which("chromium") or shutil.which("chromium-browser")


def render(url, width, dark, *options):
    return subprocess.run(
        [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         f"--window-size={width},1600", f"--blink-settings=preferredColorScheme={0 if dark else 1}",
         *options, url], capture_output=True, timeout=120)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [500, 1200])
def test_a_browser_shows_it(standin, tmp_path, width, dark):
    if browser() is None:
        pytest.skip("chromium is not installed")
    ids = fill(standin, ["a.example", *HOSTILE])
    picture = tmp_path / "page.png"
    with Gate(standin.port) as gate:
        for id in ids:
            gate.renew(id)
        url = f"http://127.0.0.1:{gate.admin_port}/"
        shown = render(url, width, dark, f"--screenshot={picture}", "--enable-logging=stderr", "--v=0")
        tree = render(url, width, dark, "--dump-dom").stdout.decode()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert b"Content Security Policy" not in shown.stderr, "the page keeps to its own policy"
    assert "<script" not in tree and "a.example" in tree
