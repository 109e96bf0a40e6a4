"""Results of the evidence scripts: JSON files to which rows are added one by one, and what they are summarised by."""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _rounds import hardware_and_versions, machine
from scipy.stats import t

#: Where the committed results lie.
FOLDER = Path(__file__).parent / "results"

Row = dict[str, Any]


class Results:
    """Rows in a JSON file, which is whole after every row; what is there already need not run again.

    Parameters
    ----------
    path : Path
        The JSON file; it is made when the first row is added.
    key : sequence of str
        The columns that say which row it is.
    **setting : object
        What is said once for all rows, such as the command and the seeds.
    """

    def __init__(self, path: Path, key: Sequence[str], **setting: Any):
        self.path, self.key, self.setting = path, list(key), setting
        self.rows: list[Row] = []
        self.machines: list[dict[str, Any]] = []
        self._read()

    def _read(self) -> None:
        if self.path.exists():
            held = json.loads(self.path.read_text())
            self.rows, self.setting = held["rows"], {**held["setting"], **self.setting}
            self.machines = held["machines"]

    def _machine(self) -> int:
        """Return the number of this machine, with these versions, among those that rows are from."""
        known = hardware_and_versions()
        for number, one in enumerate(self.machines):
            if known.items() <= one.items():
                return number
        self.machines.append(machine())
        return len(self.machines) - 1

    def find(self, **wanted: Any) -> list[Row]:
        """Return the rows that have these values."""
        return [row for row in self.rows if all(row.get(name) == value for name, value in wanted.items())]

    def add(self, row: Row) -> None:
        """Add a row, in place of one with the same key, and write the file. Two processes may add to one file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read()
            self._write(row)

    def _write(self, row: Row) -> None:
        same = {name: row[name] for name in self.key}
        self.rows = [old for old in self.rows if any(old.get(name) != value for name, value in same.items())]
        date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
        self.rows.append({**row, "date": date, "machine": self._machine()})
        self.rows.sort(key=lambda one: [str(one[name]) for name in self.key])
        content = {"setting": self.setting, "machines": self.machines, "rows": self.rows}
        fresh = self.path.with_suffix(".part")
        # One row per line, so that a change shows which rows changed.
        text = json.dumps({**content, "rows": []}, indent=1)
        rows = ",\n".join(json.dumps(one) for one in self.rows)
        fresh.write_text(text.replace('"rows": []', f'"rows": [\n{rows}\n ]') + "\n")
        fresh.replace(self.path)


class Budget:
    """How long a script may go on; what is left then runs the next time."""

    def __init__(self, minutes: float | None):
        self.until = None if minutes is None else time.monotonic() + 60 * minutes

    def spent(self) -> bool:
        """Return whether no new row may begin."""
        return self.until is not None and time.monotonic() > self.until


def own_usage() -> dict[str, Any]:
    """Return the processor seconds of this process so far, and its peak of resident memory in MB."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    # Linux hands ru_maxrss down from the process that starts this one; VmHWM begins with this one.
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peak = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), used.ru_maxrss)
    return {"cpu_s": used.ru_utime + used.ru_stime, "peak_mb": round(peak * 1024 / 1e6)}


def in_own_process(script: str, *arguments: str) -> Any:
    """Run a script of this folder with ``--answer FILE`` in a process of its own; return what it writes there."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, str(Path(__file__).with_name(script)), *arguments, "--answer", str(answer)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
        if ended.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr[-3000:]}")
        return json.loads(answer.read_text())


def interval(values: Sequence[float], *, test_per_train: float = 0.0) -> tuple[float, float, float]:
    """Return mean and 95 % interval, by Student's t.

    Parameters
    ----------
    values : sequence of float
        One per fold, or one per block of test images.
    test_per_train : float, default=0
        Test rows per training row, where the values are of folds whose training sets overlap: the corrected resampled
        t test of Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003. 0 corrects
        nothing: the values are independent.
    """
    count = len(values)
    mean = float(np.mean(values))
    if count < 2:
        return mean, float("nan"), float("nan")
    half = float(t.ppf(0.975, count - 1) * np.std(values, ddof=1) * np.sqrt(1 / count + test_per_train))
    return mean, mean - half, mean + half
