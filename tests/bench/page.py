"""Takes what `make bench` and `make soak` have measured over into docs/performance: what is in
build/bench is copied, and the tables of docs/performance.md are made anew, each between its two
comments. `make bench-page` starts this."""

import csv
import re
import shutil
from dataclasses import dataclass

from programs import ROOT
from report import shown
from soak import GAIN_LIMIT, slope

MEASURED = ROOT / "build" / "bench"
KEPT = ROOT / "docs" / "performance"
PAGE = ROOT / "docs" / "performance.md"


class Results:
    """What results.csv and soak.csv say."""

    def __init__(self):
        with open(KEPT / "results.csv", newline="", encoding="utf-8") as file:
            self.values = {(row["section"], row["measure"], row["subject"]): float(row["value"])
                           for row in csv.DictReader(file)}
        with open(KEPT / "soak.csv", newline="", encoding="utf-8") as file:
            self.soak = [(float(row["seconds"]), float(row["resident_kib"]) / 1024)
                         for row in csv.DictReader(file)]

    def __call__(self, section, measure, subject="renewgate"):
        return self.values[section, measure, subject]


@dataclass(frozen=True)
class Goal:
    """One row of the goals' table; without a limit there is none to reach."""

    words: str
    measured: str
    values: tuple = ()
    at_most: float = None
    at_least: float = None

    def verdict(self):
        """As the digits that are shown say."""
        values = [float(shown(value).replace(",", "")) for value in self.values]
        if not values:
            return ""
        kept = (all(value <= self.at_most for value in values) if self.at_least is None else
                all(value >= self.at_least for value in values))
        return "reached" if kept else "**not reached**"


def times(value):
    return f"{shown(value)} ×"


# -- the tables ------------------------------------------------------------------------------------

PASSING = "Passing through"
VARIANTS = "Passing through with larger heads, and with TLS"
BODIES = "Large bodies and event streams"
CREATES = "Held creates"
FOOTPRINT = "Footprint"
SWEEP = "A sweep"
PACED = "at 1,000 requests a second: "
MULTIPLE = "CPU, as a multiple of {}'s in the same round"
MANY = "100,000 domains"


def passing_goals(results):
    nginx, haproxy = (results(PASSING, MULTIPLE.format(name)) for name in ("nginx", "HAProxy"))
    paced = results(PASSING, PACED + MULTIPLE.format("nginx"))
    added = {name: results(PASSING, PACED + "added to the median", name)
             for name in ("renewgate", "nginx")}
    up, down = (results(BODIES, f"1,024 MiB {way}: bytes for a CPU second, as a multiple of "
                        "nginx's") for way in ("upload", "download"))
    events = results(BODIES, "the same, as a multiple of nginx's")
    yield Goal("CPU of a request that passes, default settings: at most 1.00 × nginx's",
               f"{times(nginx)}; {times(haproxy)} HAProxy's", (nginx,), at_most=1.00)
    yield Goal("The same at 1,000 requests a second: at most 1.0 × nginx's", times(paced),
               (round(paced, 1),), at_most=1.0)
    yield Goal("Time added at 1,000 requests a second: within 0.1 ms of nginx's",
               f"{shown(added['renewgate'])} µs, nginx {shown(added['nginx'])}",
               (added["renewgate"] - added["nginx"],), at_most=100)
    yield Goal("1 GiB up and down: at least nginx's bytes for a CPU second",
               f"{times(up)}, {times(down)}", (up, down), at_least=1.0)
    yield Goal("100,000 events through one stream: CPU beside nginx's", times(events))


def creates_goals(results):
    def of(kind, temperature, measure, size=MANY):
        return results(CREATES, f"{kind}, {temperature}: {measure}", size)

    cold, warm = (of("certificate fresh", temperature, "of these, look-ups")
                  for temperature in ("cold", "warm"))
    growth = [of(kind, temperature, "CPU of the gate") /
              of(kind, temperature, "CPU of the gate", "10 domains")
              for kind in ("certificate fresh", "renewal due") for temperature in ("cold", "warm")]
    batch = {(temperature, size): of("500 in one request", temperature, "look-ups", size)
             for temperature in ("cold", "warm", "cold after others")
             for size in ("1,000 domains", MANY)}
    yield Goal("A held create: at most two look-ups cold", f"{cold:.0f}, beside its own request",
               (cold,), at_most=2)
    yield Goal("… and one warm", f"{warm:.0f}", (warm,), at_most=1)
    yield Goal("Its CPU at 100,000 domains: at most 1.2 × that at 10",
               "fresh {}, {} (cold, warm); due {}, {}".format(*map(times, growth)),
               tuple(growth), at_most=1.2)
    yield Goal("500 creates in one request: one look-up for each 100 domains",
               f"warm {batch['warm', MANY]:.0f}; cold {batch['cold', '1,000 domains']:.0f} at 1,000 "
               f"domains; at 100,000 {batch['cold', MANY]:.0f} the first time in the gate's life, "
               f"{batch['cold after others', MANY]:.0f} after that",
               tuple(batch.values()), at_most=5)


def footprint_goals(results):
    idle, start = "memory with 1,000 idle connections", "memory at the start"
    domain = results(CREATES, "memory for each domain, once all are known", MANY)
    ready = results(FOOTPRINT, "start to ready, median of 20")
    late = results.soak[len(results.soak) // 2:]
    gained = slope([(seconds / 60, size * 1024) for seconds, size in late])
    yield Goal("Memory with 1,000 idle connections: at most 42 MiB",
               f"{shown(results(FOOTPRINT, idle))} MiB, {shown(results(FOOTPRINT, start))} at the "
               f"start; nginx {shown(results(FOOTPRINT, idle, 'nginx'))} and "
               f"{shown(results(FOOTPRINT, start, 'nginx'))}, HAProxy "
               f"{shown(results(FOOTPRINT, idle, 'HAProxy'))} and "
               f"{shown(results(FOOTPRINT, start, 'HAProxy'))}",
               (results(FOOTPRINT, idle),), at_most=42)
    yield Goal("Memory for each of 100,000 known domains: below 1 KiB",
               f"{domain:.0f} bytes", (domain,), at_most=1023)
    yield Goal("Flat over half an hour of everything",
               f"{shown(results.soak[0][1])} MiB at first, {shown(late[0][1])} half-way, "
               f"{shown(max(size for _, size in results.soak))} at most; in the last half "
               f"{gained:+.0f} KiB a minute", (gained,), at_most=GAIN_LIMIT)
    yield Goal("Start to ready: below 50 ms", f"{shown(ready)} ms", (ready,), at_most=50)
    yield Goal("On disk", f"{shown(results(FOOTPRINT, 'binary, without debugging information'))} "
               f"MiB, and {results(FOOTPRINT, 'shared libraries beside the C library'):.0f} shared "
               f"libraries of {results(FOOTPRINT, 'their size'):.0f} MiB")


def goals(results):
    yield ["goal", "measured", ""]
    for rows in (passing_goals, creates_goals, footprint_goals):
        for goal in rows(results):
            yield [goal.words, goal.measured, goal.verdict()]


def variants(results):
    yield ["CPU for a request, µs", "nginx", "HAProxy", "renewgate", "× nginx's"]
    for size in ("16 KiB", "32 KiB", "64 KiB"):
        what = "by the largest head"
        cost = [results(VARIANTS, f"CPU for a request, {what}", name) for name in ("nginx", size)]
        yield [f"heads of up to {size}" + (", the default" if size == "16 KiB" else ""),
               shown(cost[0]), "", shown(cost[1]),
               times(results(VARIANTS, f"the same, as a multiple of nginx's, {what}", size))]
    for what in ("TLS to the client", "TLS to the server"):
        yield [what, *(shown(results(VARIANTS, f"CPU for a request, {what}", name))
                       for name in ("nginx", "HAProxy", "renewgate")),
               times(results(VARIANTS, f"the same, as a multiple of nginx's, {what}", "renewgate"))]


def sweeps(results):
    yield ["a sweep", "requests", "seconds", "CPU", "most memory"]
    for words, subject in (("with nothing to do", "with nothing to do"),
                           ("with a twin in the queue of 1,000 domains",
                            "with one twin in a hundred"),
                           ("with 1,000 domains that are due and have no task",
                            "with one due and without a task in a hundred")):
        requests, seconds, cpu, memory = (
            results(SWEEP, f"100,000 domains, {measure}", subject)
            for measure in ("requests", "time", "CPU of the gate", "most memory"))
        yield [words, f"{requests:,.0f}", shown(seconds), f"{shown(cpu)} s", f"{memory:.0f} MiB"]


TABLES = {"goals": (goals, "| --- | --- | --- |"),
          "variants": (variants, "| --- | ---: | ---: | ---: | ---: |"),
          "sweeps": (sweeps, "| --- | ---: | ---: | ---: | ---: |")}


# -- the page --------------------------------------------------------------------------------------

def table(rows, rule):
    head, *others = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, rule, *others])


def fill(page, results):
    """The page with each table between its comments."""
    for name, (rows, rule) in TABLES.items():
        begin, end = f"<!-- {name}: made by make bench-page -->\n", "<!-- end -->\n"
        pattern = re.escape(begin) + ".*?" + re.escape(end)
        if len(re.findall(pattern, page, re.DOTALL)) != 1:
            raise SystemExit(f"{PAGE}: no place for the table of {name}")
        made = f"{begin}\n{table(rows(results), rule)}\n\n{end}"
        page = re.sub(pattern, lambda _, made=made: made, page, flags=re.DOTALL)
    return page


def main():
    for path in [*MEASURED.glob("*.md"), *MEASURED.glob("*.csv"), *MEASURED.glob("*.svg")]:
        shutil.copy(path, KEPT)
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), Results()), encoding="utf-8")


if __name__ == "__main__":
    main()
