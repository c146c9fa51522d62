"""Held creates through this gate beside another build of it, such as an earlier release's: both in
turns, in front of the same stand-in, and the ratio taken round by round, so that what disturbs the
machine disturbs both. `make bench-beside OTHER=path/to/renewgate` starts this.

Results go to build/bench/beside.
"""

import argparse
import contextlib
import random
import statistics
import sys
from pathlib import Path

from bench import machine
from creates import AGE_DUE, AGE_FRESH, BATCH, Cost, fill, new_client
from programs import BUILD, ROOT, Failure, start_standin
from report import Report

SECTION = "CPU of the gate for a held create"
DOMAINS = 1_000
SAMPLE = 40
WARM_ROUNDS = 2
#: Of the large requests a round has one each, so it is made several times.
BATCHES = 3


def single(stack, standin, words, binary, seed):
    """{row: CPU in µs}: creates one after the other, each first cold, then warm."""
    client = new_client(stack, standin, DOMAINS, binary)
    numbers = random.Random(seed).sample(range(1, DOMAINS + 1), SAMPLE)
    cold, warm = Cost(), Cost()
    client.renew_each(numbers, cold)
    for _ in range(WARM_ROUNDS):
        client.renew_each(numbers, warm)
    return {f"{words}, cold": cold.each()[0], f"{words}, warm": warm.each()[0]}


def batch(stack, standin, binary):
    """The same for as many in one request as the server takes."""
    client = new_client(stack, standin, DOMAINS, binary)
    costs = {}
    for words, first in (("cold", 1), ("warm", 1), ("cold after others", 1 + BATCH)):
        cost = Cost()
        with client.counted(cost, BATCH):
            client.renew(range(first, first + BATCH))
        costs[f"{BATCH} in one request, {words}"] = cost.each()[0]
    return costs


def one_round(standin, words, binary, seed):
    with contextlib.ExitStack() as stack:
        costs = single(stack, standin, words, binary, seed)
    if words == "certificate fresh":
        batches = []
        for _ in range(BATCHES):
            with contextlib.ExitStack() as stack:
                batches.append(batch(stack, standin, binary))
        costs |= {row: statistics.median(each[row] for each in batches) for row in batches[0]}
    return costs


def measure(report, binaries, rounds):
    with contextlib.ExitStack() as stack:
        standin = start_standin(stack)
        for age, words in ((AGE_FRESH, "certificate fresh"), (AGE_DUE, "renewal due")):
            fill(standin, DOMAINS, age)
            costs = {name: [] for name in binaries}
            for number in range(rounds):
                names = list(binaries) if number % 2 else list(reversed(binaries))
                for name in names:
                    costs[name].append(one_round(standin, words, binaries[name], number))
            for row in costs["this"][0]:
                of = {name: [each[row] for each in costs[name]] for name in binaries}
                for name, values in of.items():
                    report.add(SECTION, row, name, statistics.median(values), "µs")
                ratios = [this / other for this, other in zip(of["this"], of["other"])]
                report.add(SECTION, f"{row}: as a multiple of the other's in the same round",
                           "this", statistics.median(ratios), "×")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("other", type=Path, help="the other renewgate")
    arguments.add_argument("--rounds", type=int, default=11)
    options = arguments.parse_args()
    report = Report(ROOT / "build" / "bench" / "beside", machine())
    try:
        measure(report, {"other": options.other.resolve(), "this": BUILD / "renewgate"},
                options.rounds)
    except (Failure, OSError) as failure:
        print(f"bench-beside: {failure}", file=sys.stderr)
        return 1
    finally:
        report.write_csv()
        report.write_markdown("Held creates beside another build")
    return 0


if __name__ == "__main__":
    sys.exit(main())
