r"""Side by side: skcnn and other tools, each in its own idiom, on the same split and the same machine.

    python benchmarks/peers.py run --task flowers5 --data flowers5 --weights mobilenet_v2.weights.h5 \
        --python torch=torch-env/bin/python --python fastai=fastai-env/bin/python --json peers.json
    python benchmarks/peers.py troubles --data flowers5 --weights ... --python ... --json peers.json
    python benchmarks/peers.py show --json peers.json [--write]

``benchmarks/peers/`` has a short script for each tool. Every run is a process of its own, with the Python of its
environment (``--python NAME=PATH``; an environment that is not given is this one), so that tools that cannot be
installed together are compared all the same. All classifiers have the same MobileNetV2: ``_mobilenet.py`` gives
PyTorch the weights of the Keras file.

``run`` measures accuracy, log-loss, the seconds of all processors and the peak of memory of the whole process, imports
included. Rounds are interleaved: every tool runs once before any of them runs again, and the seed is the number of the
round. Runs are kept one by one: the same command goes on where it was stopped, and ``--seconds`` stops it between two
runs. Threads of OpenMP that wait sleep (``OMP_WAIT_POLICY=PASSIVE``): otherwise PyTorch's spend up to ten times the
seconds beside other work.

``troubles`` tries what goes wrong: a broken file, an image that its metadata turn, a second fit, a saved model in a
new process, a grid search. ``show`` prints the tables, and with ``--write`` puts them into docs/evidence.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _peer_tables import TROUBLES, lines_of_code, show
from _peer_tasks import TASKS, Task

HERE = Path(__file__).parent

#: Of each tool: its name, the environment that it needs, and the packages whose versions count.
KERAS, TORCH = ("keras", "tensorflow"), ("timm", "torch")
PEERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "skcnn_bagged": ("skcnn, default pipeline", "skcnn", ("skcnn", "openvino")),
    "skcnn_logistic": ("skcnn, LogisticRegression", "skcnn", ("skcnn", "openvino")),
    "skcnn_head": ("skcnn, CNNClassifier", "skcnn", ("skcnn", *KERAS)),
    "keras_loop": ("Keras, loop of its guide", "keras", KERAS),
    "keras_features": ("Keras features, LogisticRegression", "keras", (*KERAS, "scikit-learn")),
    "scikeras_classifier": ("SciKeras, KerasClassifier", "keras", ("scikeras", *KERAS)),
    "keras_sklearn_classifier": ("Keras, SKLearnClassifier", "keras", KERAS),
    "timm_sklearn": ("timm features, LogisticRegression", "torch", (*TORCH, "scikit-learn")),
    "embetter_pipeline": ("embetter", "torch", ("embetter", *TORCH)),
    "embetter_eval": ("embetter, network in eval mode", "torch", ("embetter", *TORCH)),
    "skorch_classifier": ("skorch", "torch", ("skorch", *TORCH)),
    "fastai_learner": ("fastai", "fastai", ("fastai", *TORCH)),
    "autogluon_predictor": ("AutoGluon", "autogluon", ("autogluon.multimodal", *TORCH)),
    "detect_skcnn": ("skcnn, CNNDetector", "skcnn", ("skcnn", *KERAS)),
    "detect_torchvision": ("torchvision, Faster R-CNN on the same network", "torch", ("torchvision", *TORCH)),
    "segment_skcnn": ("skcnn, CNNSegmenter", "skcnn", ("skcnn", *KERAS)),
    "segment_kerashub": ("KerasHub, DeepLabV3 on the same network", "kerashub", ("keras-hub", *KERAS)),
    "segment_smp": ("segmentation-models-pytorch, Unet", "torch", ("segmentation-models-pytorch", *TORCH)),
}

#: Tools of a task; those of classification are also tried for what goes wrong.
TOOLS = {kind: tuple(name for name in PEERS if name.startswith(kind)) for kind in ("segment", "detect")}
CLASSIFIERS = tuple(name for name in PEERS if not name.startswith(tuple(TOOLS)))

#: What is not tried: its predictions do not depend on the image.
UNTRIED = ("embetter_pipeline",)


def environment_of(weights: Path, folder: str) -> dict[str, str]:
    """Return the variables of a run: no GPU, sleeping threads, and a folder for whatever it keeps between runs."""
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_WAIT_POLICY": "PASSIVE",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PEERS_WEIGHTS": str(weights.resolve()),
        "PYTHONPATH": str(HERE.parent),
        "XDG_CACHE_HOME": folder,
    }


def measured(command: list[str], variables: dict[str, str], log: Path) -> dict[str, Any]:
    """Run a command; return the seconds and the peak of memory of its process."""
    start = time.perf_counter()
    with open(log, "wb") as file:
        process = subprocess.Popen(command, env=variables, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "returncode": process.returncode,
        "wall": round(time.perf_counter() - start, 2),
        "processors": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(usage.ru_maxrss / 1000, 1),
    }


def versions_of(python: str, packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of packages in an environment."""
    code = "import sys, importlib.metadata as m\nfor name in sys.argv[1:]: print(name, m.version(name))"
    asked = [name for name in packages if name != "skcnn"]
    printed = subprocess.run([python, "-c", code, *asked], capture_output=True, text=True, check=False).stdout
    found = dict(line.split() for line in printed.splitlines())
    if "skcnn" in packages:
        import skcnn

        found = {"skcnn": skcnn.__version__, **found}
    return found


def machine() -> dict[str, Any]:
    """Describe the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {"processor": names[0] if names else "unknown", "cores": len(os.sched_getaffinity(0)), "gpu": None}


def read(path: Path) -> dict[str, Any]:
    """Return what was measured so far."""
    if path.exists():
        return json.loads(path.read_text())
    return {"machine": machine(), "peers": {}, "tasks": {}, "runs": [], "troubles": {}}


def write(path: Path, report: dict[str, Any]) -> None:
    """Replace the file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(report, indent=1) + "\n")
    part.replace(path)


def note_peer(report: dict[str, Any], peer: str, python: str) -> None:
    """Note the name, versions and lines of code of a tool."""
    title, environment, packages = PEERS[peer]
    report["peers"][peer] = {
        "title": title,
        "environment": environment,
        "versions": versions_of(python, packages),
        "lines": lines_of_code((HERE / "peers" / f"{peer}.py").read_text()),
    }


def run(options: argparse.Namespace, pythons: dict[str, str]) -> None:
    """Measure tools on a task, run by run."""
    task, report = TASKS[options.task], read(options.json)
    names = options.peers or TOOLS.get(task.kind, CLASSIFIERS)
    until = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        laid = task.lay_out(options.data, Path(folder), options.train, options.test)
        report["tasks"][options.task] = laid
        for seed in range(options.rounds):
            for peer in names if seed % 2 == 0 else names[::-1]:
                known = any(
                    (row["task"], row["peer"], row["seed"]) == (task.name, peer, seed) for row in report["runs"]
                )
                if known or time.monotonic() > until:
                    continue
                row = one_run(task, peer, seed, Path(folder), options.weights, pythons)
                note_peer(report, peer, python_of(peer, pythons))
                report["runs"].append(row)
                write(options.json, report)
                print(json.dumps({name: value for name, value in row.items() if name != "wrong"}), flush=True)


def one_run(task: Task, peer: str, seed: int, folder: Path, weights: Path, pythons: dict[str, str]) -> dict[str, Any]:
    """Run a tool once on a task, and score its predictions."""
    out, log = folder / "out.npz", folder / "log.txt"
    out.unlink(missing_ok=True)
    command = [python_of(peer, pythons), str(HERE / "peers" / "_child.py"), "run", peer]
    command += [str(folder / "train"), str(folder / "test"), str(out), str(weights.resolve()), str(seed)]
    with tempfile.TemporaryDirectory() as cache:
        used = measured(command, environment_of(weights, cache), log)
    row: dict[str, Any] = {"task": task.name, "peer": peer, "seed": seed, **used}
    row |= {"date": datetime.date.today().isoformat(), "load": round(os.getloadavg()[0], 1)}
    if used["returncode"]:
        lines = log.read_text(errors="replace").strip().splitlines()
        return {**row, "failed": lines[-1] if lines else f"exit status {used['returncode']}"}
    with np.load(out, allow_pickle=True) as found:
        row["phases"] = json.loads(str(found["phases"]))
        return {**row, **task.score(folder, found["paths"], found["predicted"])}


def troubles(options: argparse.Namespace, pythons: dict[str, str]) -> None:
    """Try what goes wrong with each tool."""
    report, until = read(options.json), time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        TASKS["flowers5"].lay_out(options.data, Path(folder), options.train or 6, options.test or 4, classes=3)
        for peer in options.peers or [name for name in CLASSIFIERS if name not in UNTRIED]:
            python, out = python_of(peer, pythons), Path(folder) / f"{peer}.json"
            for _ in range(8):  # what kills the process ends it: then the next goes on behind it
                if time.monotonic() > until or report["troubles"].get(peer, {}).keys() >= TROUBLES.keys():
                    break
                out.write_text(json.dumps(report["troubles"].get(peer, {})))
                command = [python, str(HERE / "peers" / "_child.py"), "troubles", peer]
                command += [f"{folder}/train", f"{folder}/test", str(out), str(options.weights.resolve())]
                with tempfile.TemporaryDirectory() as cache:
                    used = measured(command, environment_of(options.weights, cache), Path(folder) / "log.txt")
                note_peer(report, peer, python)
                before, now = report["troubles"].get(peer, {}), json.loads(out.read_text())
                report["troubles"][peer] = now
                write(options.json, report)
                print(peer, used["returncode"], json.dumps(now), flush=True)
                if now == before:  # not even the import works
                    break


def python_of(peer: str, pythons: dict[str, str]) -> str:
    """Return the Python of a tool."""
    return pythons.get(PEERS[peer][1], sys.executable)


def given(text: str) -> tuple[str, str]:
    """Return the environment and its Python from "torch=PATH"."""
    name, separator, path = text.partition("=")
    if not separator or name not in {environment for _, environment, _ in PEERS.values()}:
        raise argparse.ArgumentTypeError(f"Got {text!r}; expected ENVIRONMENT=PATH, such as torch=env/bin/python")
    return name, path


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "troubles", "show"))
    parser.add_argument("--json", type=Path, default=HERE / "results" / "peers.json")
    parser.add_argument("--task", choices=tuple(TASKS), default="flowers5")
    parser.add_argument("--data", type=Path, help="folder of the task's data")
    parser.add_argument("--weights", type=Path, help="file of MobileNetV2's weights, of Keras")
    parser.add_argument("--python", type=given, action="append", default=[], metavar="ENVIRONMENT=PATH")
    parser.add_argument("--peers", nargs="+", choices=tuple(PEERS), help="some of the tools")
    parser.add_argument("--train", type=int, help="images to train on, per class if there are classes")
    parser.add_argument("--test", type=int, help="images to test on, likewise")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no other run after so many")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/evidence.md")
    options = parser.parse_args(arguments)
    if options.what == "show":
        show(read(options.json), HERE.parent / "docs" / "evidence.md" if options.write else None)
        return
    if options.data is None or options.weights is None:
        parser.error("--data and --weights are needed to run")
    {"run": run, "troubles": troubles}[options.what](options, dict(options.python))


if __name__ == "__main__":
    main()
