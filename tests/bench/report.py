"""What was measured, as CSV and Markdown tables and as plots."""

import csv
import shutil
import subprocess
from dataclasses import astuple, dataclass, fields

from programs import Failure


@dataclass(frozen=True)
class Value:
    section: str
    measure: str
    subject: str
    value: float
    unit: str
    measured: str  # when and where


def shown(value):
    """Three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


FIELDS = [field.name for field in fields(Value)]


class Report:
    def __init__(self, folder, measured=""):
        self.folder = folder
        self.measured = measured
        self.values = []
        self.notes = {}
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, section, measure, subject, value, unit):
        self.values.append(Value(section, measure, subject, value, unit, self.measured))
        print(f"  {measure}, {subject}: {shown(value)} {unit}", flush=True)

    def note(self, section, text):
        """A sentence under a section's table."""
        self.notes.setdefault(section, []).append(text)
        print(f"  {text}", flush=True)

    def write_csv(self):
        with open(self.folder / "results.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(FIELDS)
            for each in self.values:
                writer.writerow(f"{value:.6g}" if isinstance(value, float) else value
                                for value in astuple(each))

    def keep(self, sections):
        """Takes over what an earlier run has measured of these, if any has."""
        results = self.folder / "results.csv"
        if results.exists():
            with open(results, newline="", encoding="utf-8") as file:
                self.values += [Value(**{**row, "value": float(row["value"])})
                                for row in csv.DictReader(file) if row["section"] in sections]

    def write_markdown(self, title):
        """A table for each section: a row a measure, a column a subject."""
        sections = dict.fromkeys([value.section for value in self.values] + list(self.notes))
        parts = [f"# {title}"]
        for section in sections:
            measured = dict.fromkeys(value.measured for value in self.values
                                     if value.section == section)
            parts += [f"## {section}", *filter(None, measured), *self._table(section),
                      *(f"- {note}" for note in self.notes.get(section, []))]
        (self.folder / "results.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")

    def _table(self, section):
        values = [value for value in self.values if value.section == section]
        if not values:
            return []
        subjects = list(dict.fromkeys(value.subject for value in values))
        cells = {(value.measure, value.unit, value.subject): value.value for value in values}
        rows = dict.fromkeys((value.measure, value.unit) for value in values)
        lines = [["", "unit", *subjects], ["---"] * 2 + ["---:"] * len(subjects)]
        for measure, unit in rows:
            found = [cells.get((measure, unit, subject)) for subject in subjects]
            lines.append([measure, unit, *("" if one is None else shown(one) for one in found)])
        return ["\n".join("| " + " | ".join(line) + " |" for line in lines)]

    def plot(self, name, title, x, y, series, settings=(), style="linespoints"):
        """Draws {label: [(x, y), ...]} into name.svg."""
        if not shutil.which("gnuplot"):
            raise Failure("gnuplot is not installed: deploy/install-dependencies.sh bench")
        script = ["set terminal svg size 760,420 dynamic font 'sans-serif,13' background 'white'",
                  f"set output '{self.folder / name}.svg'", f"set title '{title}'",
                  f"set xlabel '{x}'", f"set ylabel '{y}'", "set grid", "set key left top",
                  "set yrange [0:*]", *settings]
        for i, points in enumerate(series.values()):
            script += [f"$data{i} << end", *(f"{a} {b}" for a, b in points), "end"]
        script.append("plot " + ", ".join(
            f"$data{i} using 1:2 with {style} linewidth 2 pointsize 0.5 title '{label}'"
            for i, label in enumerate(series)))
        drawn = subprocess.run(["gnuplot"], input="\n".join(script), text=True,
                               capture_output=True, check=False)
        if drawn.returncode != 0:
            raise Failure(f"gnuplot could not draw {name}: {drawn.stderr}")
