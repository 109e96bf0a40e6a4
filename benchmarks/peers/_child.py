"""What one peer does in a process of its own, with the Python of its environment.

    python _child.py run PEER TRAIN TEST OUT.npz WEIGHTS SEED
    python _child.py load PEER SAVED TEST OUT.npz
    python _child.py troubles PEER TRAIN TEST OUT.json WEIGHTS

``PEER`` is the name of a script beside this one. It has ``fit(folder, weights, seed)``, ``predict(model, folder)``,
``save(model, path)`` and ``load(path)``, and where the tool has such a thing ``refit(model, folder)`` and
``search(model, folder)``. Nothing here imports more than NumPy and Pillow: what is measured is the tool.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

#: Probabilities that differ by less are the same: rounding, and JPEG at quality 95.
SAME, SIMILAR = 1e-4, 0.1

#: Means of probabilities that differ by more are of weights that were kept.
KEPT = 0.05

#: The orientation that cameras write when they are held upright, and how the pixels then lie.
ORIENTATION = 0x0112, 6


def seconds_of(phases: dict[str, float], name: str, function: Callable[[], Any]) -> Any:
    """Call the function, and note the processors' seconds."""
    start = time.process_time()
    result = function()
    phases[name] = round(time.process_time() - start, 3)
    return result


def run(peer: str, train: str, test: str, out: str, weights: str, seed: str) -> None:
    """Fit and predict as the tool's users do."""
    phases: dict[str, float] = {}
    module = seconds_of(phases, "import", lambda: importlib.import_module(peer))
    model = seconds_of(phases, "fit", lambda: module.fit(train, weights, int(seed)))
    paths, predicted = seconds_of(phases, "predict", lambda: module.predict(model, test))
    keep(out, paths, predicted, phases=json.dumps(phases))


def load(peer: str, saved: str, test: str, out: str) -> None:
    """Load what another process saved, and predict."""
    module = importlib.import_module(peer)
    keep(out, *module.predict(module.load(Path(saved)), test))


def keep(out: str, paths: Any, predicted: Any, **more: str) -> None:
    """Write predictions: an array, or one array per image."""
    if not isinstance(predicted, np.ndarray):
        cells = np.empty(len(predicted), object)
        cells[:] = list(predicted)
        predicted = cells
    np.savez_compressed(out, paths=np.array([str(path) for path in paths]), predicted=predicted, **more)


def by_name(module: ModuleType, model: Any, folder: str) -> np.ndarray:
    """Return probabilities in the order of the files' names."""
    paths, predicted = module.predict(model, folder)
    order = np.argsort([str(path) for path in paths])
    return np.asarray(predicted, float)[order]


def trouble_bad_file(module: ModuleType, train: str, test: str, weights: str, content: bytes) -> str:
    """Fit on a folder in which one file is broken."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(train, Path(folder) / "train")
        one = sorted(path for path in copy.iterdir() if path.is_dir())[0]
        (one / "broken.jpg").write_bytes(content)
        try:
            module.fit(str(copy), weights, 0)
        except Exception as error:
            named = "names the file" if "broken.jpg" in str(error) else "does not name the file"
            return f"{type(error).__name__}, {named}"
    return "silent"


def trouble_truncated(module: ModuleType, train: str, test: str, weights: str) -> str:
    """Fit on a folder in which a JPEG file has only the first half of its bytes."""
    content = sorted(Path(train).glob("*/*"))[0].read_bytes()
    return trouble_bad_file(module, train, test, weights, content[: len(content) // 2])


def trouble_no_image(module: ModuleType, train: str, test: str, weights: str) -> str:
    """Fit on a folder in which a page of HTML is called .jpg, as after a failed download."""
    return trouble_bad_file(module, train, test, weights, b"<html><body>404 Not Found</body></html>")


def trouble_turned(module: ModuleType, train: str, test: str, weights: str) -> str:
    """Predict upright images, and the same ones turned, with an orientation in their metadata."""
    from PIL import Image

    model = module.fit(train, weights, 0)
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(Path(test).glob("*/*")):
            for kind in ("upright", "turned"):
                target = Path(folder) / kind / path.parent.name / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with Image.open(path) as image:
                    exif, pixels = Image.Exif(), image.convert("RGB")
                if kind == "turned":
                    exif[ORIENTATION[0]] = ORIENTATION[1]
                    pixels = pixels.transpose(Image.Transpose.ROTATE_90)
                pixels.save(target, quality=95, exif=exif)
        upright, turned = (by_name(module, model, f"{folder}/{kind}") for kind in ("upright", "turned"))
    change = np.abs(upright - turned).max()
    if change < SIMILAR:
        return "the same prediction"
    others = int((upright.argmax(1) != turned.argmax(1)).sum())
    return f"silent: other probabilities (by up to {change:.2f}), another class for {others} of {len(upright)} images"


def trouble_twice(module: ModuleType, train: str, test: str, weights: str) -> str:
    """Fit twice with the same seed, in one process."""
    one, two = (by_name(module, module.fit(train, weights, 0), test) for _ in range(2))
    change = np.abs(one - two).max()
    return "the same" if change < SAME else f"differs by up to {change:.3f}"


def trouble_again(module: ModuleType, train: str, test: str, weights: str) -> str:
    """Fit an object a second time, to images whose first two classes are swapped."""
    if not hasattr(module, "refit"):
        return "no such call"
    with tempfile.TemporaryDirectory() as folder:
        first, second, *others = sorted(path.name for path in Path(train).iterdir())
        for source, target in ((first, second), (second, first), *zip(others, others, strict=True)):
            shutil.copytree(Path(train) / source, Path(folder) / "swapped" / target)
        swapped = f"{folder}/swapped"
        fresh, other = (by_name(module, module.fit(swapped, weights, seed), swapped) for seed in (0, 1))
        again = by_name(module, module.refit(module.fit(train, weights, 0), swapped), swapped)
    # Means, of many images: single ones differ between seeds as much as between histories.
    change, seeds = np.abs(again - fresh).mean(), np.abs(fresh - other).mean()
    if change < max(KEPT, 2 * seeds):
        return "starts afresh"
    return f"silent: goes on from the old weights (differs by {change:.2f}, two seeds by {seeds:.2f})"


def trouble_saved(module: ModuleType, train: str, test: str, weights: str) -> str:
    """Save, and predict in a new process."""
    model = module.fit(train, weights, 0)
    with tempfile.TemporaryDirectory() as folder:
        module.save(model, Path(folder) / "model")
        out = f"{folder}/again.npz"
        command = [sys.executable, __file__, "load", module.__name__, f"{folder}/model", test, out]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{done.stderr.strip().splitlines()[-1].split(':')[0]} when it is loaded"
        with np.load(out) as found:
            again = found["predicted"][np.argsort(found["paths"])]
    change = np.abs(by_name(module, model, test) - again).max()
    return "the same" if change < SAME else f"silent: differs by up to {change:.3f}"


def trouble_search(module: ModuleType, train: str, test: str, weights: str) -> str:
    """Search two candidates in three folds."""
    if not hasattr(module, "search"):
        return "no estimator from files on"
    model = module.fit(train, weights, 0)
    start = time.process_time()
    found = module.search(model, train)
    seconds = time.process_time() - start
    return f"works: accuracy {found.best_score_:.2f}, {seconds:.0f} s of processors"


TROUBLES: dict[str, Callable[[ModuleType, str, str, str], str]] = {
    "truncated": trouble_truncated,
    "no image": trouble_no_image,
    "turned": trouble_turned,
    "twice": trouble_twice,
    "again": trouble_again,
    "saved": trouble_saved,
    "search": trouble_search,
}


def troubles(peer: str, train: str, test: str, out: str, weights: str) -> None:
    """Try all that goes wrong and has no result in ``out`` yet; write in words what happened, one after the other."""
    module = importlib.import_module(peer)
    path = Path(out)
    for name, function in TROUBLES.items():
        results = json.loads(path.read_text()) if path.exists() else {}
        if name in results:
            continue
        # If what is tried kills the process, this stays.
        path.write_text(json.dumps({**results, name: "the process died"}))
        try:
            result = function(module, train, test, weights)
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            result = f"{type(error).__name__}: {lines[0][:160]}"
        path.write_text(json.dumps({**results, name: result}))


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    {"run": run, "load": load, "troubles": troubles}[sys.argv[1]](*sys.argv[2:])
