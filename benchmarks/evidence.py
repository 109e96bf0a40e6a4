"""Tables and figures of docs/evidence.md, made of the JSON files in ``benchmarks/results/``.

    python benchmarks/evidence.py            # prints the tables
    python benchmarks/evidence.py --write    # puts them into the page, and draws docs/images/evidence_*.png

Nothing is measured here: ``accuracy.py``, ``published.py`` and ``cost_curves.py`` add the rows. Intervals are 95 %, by
Student's t: over folds whose training sets overlap with the correction of Nadeau and Bengio, and over 20 blocks of test
images without it where there is one official split.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from _evidence import DATA, NETWORKS
from _evidence_figures import draw_accuracy, draw_costs, draw_pairs
from _results import FOLDER, Row, interval
from _rounds import describe, table
from accuracy import GRID, HEADS, TRAINED, VARIANTS, is_a_cell
from cost_curves import CURVES, exponent

HERE = Path(__file__).parent
PAIR_METRICS = ("accuracy", "log_loss")
PAGE = HERE.parent / "docs" / "evidence.md"
IMAGES = HERE.parent / "docs" / "images"
METHODS = (*HEADS, *TRAINED)
#: What the default head is compared with.
RIVALS = ("classic", "frozen", "logistic")
#: Epochs in which CNNClassifier fine-tunes by default.
EPOCHS = 5


def load(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Return what a script measured; no rows where it has not run."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {"rows": [], "machines": [], "setting": {}}


def cell_of(rows: list[Row], data: str, network: str, method: str) -> list[Row]:
    """Return the rows of a cell, fold by fold."""
    found = [row for row in rows if (row["data"], row["network"], row["method"]) == (data, network, method)]
    return sorted(found, key=lambda row: int(row["fold"]))


def test_per_train(row: Row) -> float:
    """Return the correction for folds that overlap; 0 for an official split."""
    return 0.0 if row["n_folds"] == 1 else row["n_test"] / row["n_train"]


def values(cell: list[Row], metric: str) -> list[float]:
    """Return a metric of every fold, or of every block of test images."""
    return [score[metric] for row in cell for score in row["scores"]]


def shown(mean: float, low: float, high: float, digits: int = 3, sign: str = "") -> str:
    """Return a mean with its interval, as it stands in a table."""
    if np.isnan(low):
        return f"{mean:{sign}.{digits}f}"
    return f"{mean:{sign}.{digits}f} ({low:{sign}.{digits}f} to {high:{sign}.{digits}f})"


def within(metric: str, found: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return an interval cut off where the metric ends: no accuracy is above 1, and no log-loss below 0."""
    mean, low, high = found
    return (mean, low, float(np.minimum(high, 1))) if metric == "accuracy" else (mean, float(np.maximum(low, 0)), high)


def accuracy_table(rows: list[Row], data: str) -> str:
    """Return one line per network and method."""
    lines = []
    for network in NETWORKS:
        missing: dict[str, str] = {}
        for method in METHODS if is_a_cell(data, network) else ():
            cell = cell_of(rows, data, network, method)
            done = [row for row in cell if "scores" in row]
            if done:
                correction = test_per_train(done[0])
                metrics = [
                    shown(*within(name, interval(values(done, name), test_per_train=correction)))
                    for name in PAIR_METRICS
                ]
                seconds = np.mean([row["cpu_s"] for row in done])
                memory = max(row["peak_mb"] for row in done)
                folds = f"{len(done)} of {done[0]['n_folds']}"
                lines.append([network, method, *metrics, f"{seconds:.3g}", memory, folds])
            elif cell:
                lines.append([network, method, "fails: no feature varies enough", "", "", "", f"0 of {len(cell)}"])
            else:
                missing[method] = estimate(rows, data, network, method)
        if missing:
            text = "; ".join(f"{method} {cost}" for method, cost in missing.items() if cost)
            text = f"not run; processor minutes per fit: {text}" if text else "not run"
            lines.append([network, ", ".join(missing), text, "", "", "", ""])
    header = ["network", "method", "accuracy", "log-loss", "processor s per fit", "MB", "folds"]
    return table(header, lines)


def estimate(rows: list[Row], data: str, network: str, method: str) -> str:
    """Return what a cell would cost, by the cost of an epoch per image; nothing where that was not measured."""
    costs = cell_of(rows, "cost", network, method)
    trained_on = next((row["n_train"] for row in rows if row["data"] == data and "n_train" in row), None)
    if not costs or trained_on is None:
        return ""
    minutes = costs[0]["cpu_s_per_image_and_epoch"] * EPOCHS * trained_on / 60
    return f"about {minutes:.2g}"


def difference(
    rows: list[Row], data: str, network: str, rival: str, metric: str, method: str = "minibatch"
) -> tuple[float, float, float] | None:
    """Return the mean difference of a method from a rival, paired by fold or block; None where either is missing."""
    own, other = (
        {row["fold"]: row for row in cell_of(rows, data, network, one) if "scores" in row} for one in (method, rival)
    )
    folds = sorted(own.keys() & other.keys())
    if not folds:
        return None
    pairs = [np.subtract(values([own[f]], metric), values([other[f]], metric)) for f in folds]
    differences = np.concatenate(pairs)
    return interval(differences, test_per_train=test_per_train(own[folds[0]]))


def verdict(found: tuple[float, float, float], metric: str) -> str:
    """Return whether the default head is better; "no difference shown" where the interval has 0 in it, or none."""
    _, low, high = found
    if np.isnan(low):
        return "one fold"
    if low <= 0 <= high:
        return "no difference shown"
    return "better" if (low > 0) == (metric == "accuracy") else "worse"


def variants_table(rows: list[Row]) -> str:
    """Return one line per data set and change of the default head: what it is worth, and beside the retrained head."""
    lines = []
    for data in DATA:
        for method in VARIANTS:
            cells = []
            for rival in ("minibatch", "frozen"):
                for metric in PAIR_METRICS:
                    found = difference(rows, data, "MobileNetV2", rival, metric, method)
                    cells.append("" if found is None else shown(*found, sign="+"))
            if cells[0]:
                lines.append([data, method, *cells])
    less = [
        f"{metric}, less the {rival}" for rival in ("default", "retrained head") for metric in ("accuracy", "log-loss")
    ]
    return table(["data", "changed", *less], lines)


def tuned_table(rows: list[Row]) -> str:
    """Return one line per data set and network: the tuned head less the default head and its rivals."""
    lines = []
    for data in DATA:
        for network in NETWORKS:
            cells = []
            for rival in ("minibatch", *RIVALS):
                for metric in PAIR_METRICS:
                    found = difference(rows, data, network, rival, metric, "tuned")
                    cells.append("" if found is None else f"{shown(*found, sign='+')}, {verdict(found, metric)}")
            if any(cells):
                lines.append([data, network, *cells])
    names = ("default", "classic recipe", "retrained head", "`LogisticRegression`")
    less = [f"{metric}, less {name}" for name in names for metric in ("accuracy", "log-loss")]
    return table(["data", "network", *less], lines)


def choices_table(rows: list[Row]) -> str:
    """Return one line per data set and network: what the search chose, in how many folds, and what it took."""
    lines = []
    for data in DATA:
        for network in NETWORKS:
            cell = [row for row in cell_of(rows, data, network, "tuned") if "chosen" in row]
            plain = [row["cpu_s"] for row in cell_of(rows, data, network, "minibatch")]
            if cell:
                chosen = [
                    ", ".join(f"{value} in {count}" for value, count in Counter(values).most_common())
                    for values in ([row["chosen"][name] for row in cell] for name in GRID)
                ]
                seconds = [f"{np.mean(one):.3g}" for one in ([row["cpu_s"] for row in cell], plain)]
                lines.append([data, network, *chosen, *seconds])
    return table(["data", "network", *(f"`{name}`" for name in GRID), "processor s", "of the default"], lines)


def pairs_table(rows: list[Row], rival: str) -> str:
    """Return one line per data set and network: the default head less a rival."""
    lines = []
    for data in DATA:
        for network in NETWORKS:
            found = [difference(rows, data, network, rival, metric) for metric in PAIR_METRICS]
            if found[0] is None or found[1] is None:
                continue
            cells = [
                f"{shown(*one, digits=3, sign='+')}, {verdict(one, metric)}"
                for one, metric in zip(found, PAIR_METRICS, strict=True)
                if one is not None
            ]
            lines.append([data, network, *cells])
    return table(["data", "network", "accuracy", "log-loss"], lines)


def time_table(rows: list[Row]) -> str:
    """Return the processor seconds of a fit by each method, and of the features before it, with MobileNetV2."""
    lines = []
    for data in DATA:
        cells = [cell_of(rows, data, "MobileNetV2", method) for method in ("features", *METHODS)]
        if any(cells):
            means = [[row["cpu_s"] for row in cell if "cpu_s" in row] for cell in cells]
            lines.append([data, *(f"{np.mean(mean):.3g}" if mean else "" for mean in means)])
    return table(["data", "features, all images", *METHODS], lines)


def published_table(measured: list[Row], experiment: str) -> str:
    """Return what was published, and what was measured here on other data."""
    with (HERE / "published.csv").open() as file:
        lines = [
            ["published", one["network"], one["method"], f"{float(one['accuracy']):.3f}", one["log_loss"], ""]
            for one in csv.DictReader(file)
            if one["experiment"] == experiment
        ]
    rows = [row for row in measured if row["experiment"] == experiment]
    groups = sorted({(row["data"], row["network"], row["method"]) for row in rows})
    for data, network, method in groups:
        cell = [row for row in rows if (row["data"], row["network"], row["method"]) == (data, network, method)]
        correction = cell[0]["n_test"] / cell[0]["n_train"]
        metrics = [
            shown(*within(key, interval([row[key] for row in cell], test_per_train=correction))) for key in PAIR_METRICS
        ]
        lines.append([data, network, method, *metrics, f"{np.mean([row['cpu_s'] for row in cell]):.3g}"])
    return table(["data", "network", "method", "accuracy", "log-loss", "processor s"], lines)


def thresholds_table(measured: list[Row]) -> str:
    """Return the counts at thresholds."""
    keys = ("tp", "fp", "tn", "fn")
    rates = ("tpr", "ppv", "accuracy")
    lines = [
        [
            *(row["data"], row["method"], *(row[key] for key in keys), *(rate_text(row[key]) for key in rates)),
            "yes" if row["equal"] else "**no**",
        ]
        for row in measured
        if row["experiment"] == "thresholds"
    ]
    return table(["case", "threshold", *keys, *rates, "as counted by a loop"], lines)


def rate_text(value: float | None) -> str:
    """Return a rate, or that it is undefined."""
    return "undefined" if value is None else f"{value:.3f}"


def costs_table(rows: list[Row]) -> str:
    """Return, per curve, what its smallest and largest points cost, and the exponents."""
    lines = []
    for curve in CURVES:
        points = sorted((row for row in rows if row["curve"] == curve), key=lambda row: int(row["n"]))
        if len(points) < 3:
            continue
        n, seconds = (np.array([row[key] for row in points], float) for key in ("n", "cpu_s"))
        fits = ["{:.2f} ± {:.2f}".format(*exponent(n, seconds))]
        upper = n >= 1000
        fits += ["{:.2f} ± {:.2f}".format(*exponent(n[upper], seconds[upper])) if upper.sum() > 2 else ""]
        ends = [
            f"{points[end]['cpu_s']:.3g} s, {points[end]['peak_mb']:,} MB at {points[end]['n']:,}" for end in (0, -1)
        ]
        lines.append([curve, *ends, *fits])
    header = ["curve", "smallest", "largest", "exponent of time", "from n = 1,000"]
    return table(header, lines)


def head_line(result: dict[str, Any]) -> str:
    """Return machine, versions and dates of the rows in a line."""
    if not result["rows"]:
        return "Not run."
    dates = sorted({row["date"] for row in result["rows"]})
    text = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    machines = "; and ".join(describe(one) for one in result["machines"])
    return f"{text}; seeds {result['setting']['seeds']}; {machines}"


def tables() -> dict[str, str]:
    """Return everything that stands between marks of the page, by its name."""
    accuracy, published, costs = (load(name) for name in ("accuracy", "published", "cost_curves"))
    rows = accuracy["rows"]
    made = {f"accuracy {data}": accuracy_table(rows, data) for data in DATA}
    made |= {f"pairs {rival}": pairs_table(rows, rival) for rival in RIVALS}
    made |= {f"published {name}": published_table(published["rows"], name) for name in ("breeds", "flowers", "cifar")}
    made |= {"thresholds": thresholds_table(published["rows"]), "costs": costs_table(costs["rows"])}
    made |= {"times": time_table(rows), "variants": variants_table(rows)}
    made |= {"tuned": tuned_table(rows), "choices": choices_table(rows)}
    parts = {"accuracy": accuracy, "published": published, "costs": costs}
    return made | {f"machine {name}": head_line(result) for name, result in parts.items()}


def filled(page: str, made: dict[str, str]) -> str:
    """Return a page with every table between its marks; a table without marks, or marks without one, are an error."""
    marks = re.findall(r"<!-- made: (.+?) -->", page)
    if sorted(marks) != sorted(made):
        raise ValueError(f"the page has marks for {sorted(marks)}, and there are {sorted(made)}")
    for name, text in made.items():
        before, mark, rest = page.partition(f"<!-- made: {name} -->\n")
        page = before + mark + text + "\n" + "<!-- end -->" + rest.partition("<!-- end -->")[2]
    return page


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the page and the figures")
    options = parser.parse_args(arguments)
    made = tables()
    for name, text in made.items():
        print(f"\n{name}\n\n{text}")
    if options.write:
        PAGE.write_text(filled(PAGE.read_text(), made))
        rows = load("accuracy")["rows"]
        found = {
            (data, network, rival, metric): difference(rows, data, network, rival, metric)
            for data in DATA
            for network in NETWORKS
            for rival in RIVALS[:2]
            for metric in PAIR_METRICS
        }
        draw_pairs({key: one for key, one in found.items() if one is not None}, IMAGES / "evidence_pairs.png")
        draw_costs(load("cost_curves")["rows"], IMAGES / "evidence_costs.png")
        summary = {}
        for data in DATA:
            for network in NETWORKS:
                for method in METHODS:
                    cell = [row for row in cell_of(rows, data, network, method) if "scores" in row]
                    if cell:
                        summary[data, network, method] = {
                            metric: within(
                                metric, interval(values(cell, metric), test_per_train=test_per_train(cell[0]))
                            )
                            for metric in PAIR_METRICS
                        }
        draw_accuracy(summary, IMAGES / "evidence_accuracy.png")


if __name__ == "__main__":
    main()
