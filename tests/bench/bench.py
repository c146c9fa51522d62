"""Measures the gate beside nginx and HAProxy, in one run. `make bench` builds what is needed and
starts this; docs/performance.md says what comes out of it and how to read it.

Results go to build/bench: results.md, results.csv, and plots as SVG.
"""

import argparse
import datetime
import os
import platform
import signal
import sys
from pathlib import Path

import bodies
import creates
import footprint
import passing
import sweep
import variants
from programs import MEASURED, OTHERS, ROOT, Failure
from report import Report

PARTS = {"passing": passing, "variants": variants, "bodies": bodies, "creates": creates,
         "footprint": footprint, "sweep": sweep}


def machine():
    """The machine and how busy it was, in a line or two."""
    model = next((line.split(":", 1)[1].strip() for line in
                  Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
                 platform.machine())
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    now = datetime.datetime.now(datetime.timezone.utc)
    return (f"{now:%Y-%m-%d %H:%M} UTC; {len(os.sched_getaffinity(0))} × {model}, Linux "
            f"{platform.release()}, {system}; load before the run: {os.getloadavg()[0]:.2f}.")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="a minute or two, rough numbers")
    arguments.add_argument("--only", choices=PARTS, action="append",
                           help="this part; repeatable; of the others an earlier run's results stay")
    options = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    measured = machine() + (" The short form: rough numbers." if options.quick else "")
    if MEASURED == OTHERS:
        measured += " There was one processor for all: times are worth little."
    report = Report(ROOT / "build" / "bench", measured)
    try:
        for name, part in PARTS.items():
            if options.only and name not in options.only:
                report.keep([part.SECTION])
                continue
            print(f"== {part.SECTION}", flush=True)
            part.measure(report, options.quick)
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    finally:
        report.write_csv()
        report.write_markdown("Measurements")
    print(f"results: {report.folder}/results.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
