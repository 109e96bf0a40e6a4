"""What broken and forged model files do to skcnn.load: each is refused with ModelFileError, or loaded; nothing else.

    python benchmarks/hostile_files.py

Prints a row per kind of attack: how many were tried, and what came of them. What is loaded also predicts.
"""

from __future__ import annotations

import copy
import hashlib
import importlib
import io
import json
import platform
import random
import signal
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from _hostile import Outcomes, main
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import skcnn
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.persistence import ModelFileError

SECONDS = 60  # beyond which an attempt counts as hung

# These ask a program: once per process, or, for fonts, where matplotlib has no cache yet. Keras does the latter two.
# Not when programs are counted.
joblib.cpu_count(only_physical_cores=True)
platform.processor()
importlib.import_module("matplotlib.font_manager")

X = np.random.default_rng(0).random((40, 6))
Y = np.where(X[:, 0] > 0.5, "b", "a")


def _models() -> list[Any]:
    """Return fitted models that hold one of each: arrays, texts, functions, random states, searches."""
    return [
        GridSearchCV(make_pipeline(SimpleImputer(), LogisticRegression()), {"logisticregression__C": [1, 2]}, cv=2),
        CalibratedClassifierCV(BaggedSGDClassifier(n_estimators=2, random_state=0), cv=2),
        make_pipeline(SelectKBest(k=3), KNeighborsClassifier(algorithm="brute", metric="manhattan")),
        MLPClassifier((3,), max_iter=3, random_state=np.random.RandomState(0)),
        make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()),
    ]


def _saved(model: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        skcnn.save(model, Path(folder) / "a.skcnn")
        return (Path(folder) / "a.skcnn").read_bytes()


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return buffer.getvalue()


def _forged(members: dict[str, bytes]) -> bytes:
    """Return a file whose digests fit its members."""
    rest = {name: member for name, member in members.items() if name != "manifest.json"}
    digests = {name: hashlib.sha256(member).hexdigest() for name, member in rest.items()}
    return _zipped({"manifest.json": json.dumps({"format": 1, "sha256": digests}).encode(), **rest})


def _hung(*_: object) -> None:
    raise TimeoutError(f"not done after {SECONDS} s")


def _attempt(outcomes: Outcomes, content: bytes, use: bool = True) -> None:
    """Load a file, and predict with what comes of it."""
    with tempfile.NamedTemporaryFile(suffix=".skcnn") as file:
        file.write(content)
        file.flush()
        signal.signal(signal.SIGALRM, _hung)
        signal.alarm(SECONDS)
        try:
            loaded = []
            outcomes.of(lambda: loaded.append(skcnn.load(file.name)), (ModelFileError,))
            if use and loaded:
                try:
                    loaded[0].predict(X)
                except TimeoutError as error:
                    outcomes.fault(repr(error))
                except Exception:  # what a forged model predicts is its own affair, as long as the process lives
                    pass
        finally:
            signal.alarm(0)


def changed_bytes(outcomes: Outcomes) -> None:
    """Change a byte of saved files."""
    draw = random.Random(0)
    for model in _models():
        whole = _saved(model.fit(X, Y))
        for _ in range(200):
            content = bytearray(whole)
            content[draw.randrange(len(content))] ^= draw.randrange(1, 256)
            _attempt(outcomes, bytes(content))


def truncations(outcomes: Outcomes) -> None:
    """Cut saved files off."""
    draw = random.Random(0)
    for model in _models():
        whole = _saved(model.fit(X, Y))
        for _ in range(5):
            _attempt(outcomes, whole[: draw.randrange(len(whole))])


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the place of every part of a schema: what it is in, and its key there."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _parts(value[key])


_NAMES = (
    "os.system", "subprocess.Popen", "builtins.eval", "builtins.exec", "builtins.open", "numpy.load", "numpy.void",
    "scipy.stats._distn_infrastructure.rv_frozen", "sklearn.svm._classes.SVC", "sklearn.tree._tree.Tree",
    "sklearn.neighbors._kd_tree.KDTree", "sklearn.pipeline.Pipeline", "sklearn.svm._classes.NuSVC",
    "skcnn.feature_extraction.BottleneckFeatures", "skcnn.neural_network.CNNClassifier", "numpy.exp", "builtins.int",
    "sklearn.metrics._classification.accuracy_score", "sklearn.utils._bunch.Bunch", "functools.partial",
)  # fmt: skip
_LOADERS = (
    "ObjectNode", "DictNode", "ListNode", "TupleNode", "SetNode", "JsonNode", "TypeNode", "FunctionNode", "MethodNode",
    "PartialNode", "ConstructorFromReduceNode", "LossNode", "TreeNode", "NdArrayNode", "MaskedArrayNode", "CachedNode",
    "RandomStateNode", "RandomGeneratorNode", "OperatorFuncNode", "SparseMatrixNode", "BytesNode", "DTypeNode", "x",
)  # fmt: skip
_VALUES = (
    None, True, 0, -1, 2**31, 2**63, 10**400, 1e308, "", "x", "NaN", "-1", "1000000000", '"' + "x" * 1000, "[" * 5000,
    [], {}, [[]], "../../x", "a.npy", "/etc/passwd", "memory", "predict", "\ud800", "1e999", "2147483648",
)  # fmt: skip


def _mutate(schema: dict[str, Any], draw: random.Random) -> None:
    """Make a change to a schema that keeps its form, or does not."""
    places = list(_parts(schema))
    nodes = [place[key] for place, key in places if isinstance(place[key], dict) and "__loader__" in place[key]]
    if not nodes:
        return  # nothing is left of it
    (owner, key), node = draw.choice(places), draw.choice(nodes)
    kind = draw.randrange(7)
    if kind == 0:
        node["__module__"], _, node["__class__"] = draw.choice(_NAMES).rpartition(".")
    elif kind == 1:
        node["__loader__"] = draw.choice(_LOADERS)
    elif kind == 2:
        owner[key] = draw.choice(_VALUES)
    elif kind == 3:
        owner[key] = copy.deepcopy(draw.choice(nodes))
    elif kind == 4 and isinstance(owner, dict):
        del owner[key]
    elif kind == 5:
        node["__id__"] = draw.choice(nodes).get("__id__")
    elif isinstance(node.get("content"), str):
        node["content"] = json.dumps(draw.choice(_VALUES))


def forged_schemas(outcomes: Outcomes) -> None:
    """Forge schemas of saved files: types, loaders and values, all digests right."""
    draw = random.Random(0)
    for model in _models():
        members = _members(_saved(model.fit(X, Y)))
        state = _members(members["estimator.skops"])
        for _ in range(500):
            schema = json.loads(state["schema.json"])
            for _ in range(draw.choice([1, 1, 2, 5])):
                _mutate(schema, draw)
            forged = {**state, "schema.json": json.dumps(schema).encode()}
            _attempt(outcomes, _forged({**members, "estimator.skops": _zipped(forged)}))


def forged_arrays(outcomes: Outcomes) -> None:
    """Forge arrays of saved files: huge, negative, missing and foreign numbers, all digests right."""
    draw = random.Random(0)
    for model in _models():
        members = _members(_saved(model.fit(X, Y)))
        state = _members(members["estimator.skops"])
        names = [name for name in state if name.endswith(".npy")]
        for _ in range(100):
            name = draw.choice(names)
            array = np.load(io.BytesIO(state[name]))
            if array.dtype.kind in "iuf":
                fill = draw.choice([2**31 - 1, -1, 10**9, 0])
                array = draw.choice([np.full_like(array, fill % 100 if array.dtype.kind == "u" else fill), array])
            array = draw.choice([array, array[:1] if array.ndim else array, np.repeat(array, 50, axis=-1), array.T])
            buffer = io.BytesIO()
            np.save(buffer, array.astype(draw.choice([array.dtype, array.dtype, np.dtype("S9")])))
            forged = _zipped({**state, name: buffer.getvalue()})
            _attempt(outcomes, _forged({**members, "estimator.skops": forged}))


def bombs(outcomes: Outcomes) -> None:
    """Pack bombs: archives of gigabytes, arrays that declare terabytes, nodes that stand for 2^60."""
    declared = json.dumps({"format": 1, "sha256": {"estimator.skops": 64 * "0"}}).encode()
    for n_bytes in (2**27, 2**30, 3 * 2**30):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            archive.writestr("manifest.json", declared)
            with archive.open("estimator.skops", "w", force_zip64=True) as member:
                for _ in range(n_bytes // 2**24):
                    member.write(bytes(2**24))
        _attempt(outcomes, buffer.getvalue())
    _attempt(outcomes, _zipped({"manifest.json": b" " * 2**28}, zipfile.ZIP_DEFLATED))
    _attempt(outcomes, _forged({"estimator.skops": _zipped({"schema.json": b"[" * 2**24})}))
    _attempt(outcomes, _forged({"estimator.skops": _zipped({"schema.json": b"[" + b"{}," * 2**22 + b"1]"})}))
    # The largest that is taken: what it costs is the bound.
    plain = '{"__loader__":"JsonNode","__module__":"builtins","__class__":"str","content":"1"}'
    long = '{"__loader__":"ListNode","__module__":"builtins","__class__":"list","protocol":2,"content":['
    schema = (long + ",".join([plain] * 199_000) + "]}").encode()
    _attempt(outcomes, _forged({"estimator.skops": _zipped({"schema.json": schema})}))
    members = _members(_saved(LogisticRegression().fit(X, Y)))
    state = _members(members["estimator.skops"])
    for name in state:
        if name.endswith(".npy"):
            buffer = io.BytesIO()
            about = {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
            np.lib.format.write_array_header_1_0(buffer, about)
            _attempt(outcomes, _forged({**members, "estimator.skops": _zipped({**state, name: buffer.getvalue()})}))
    node: dict[str, Any] = json.loads(plain)
    for level in range(1, 60):
        node = {**json.loads(long + "]}"), "content": [node, {"__id__": level - 1}], "__id__": level}
    _attempt(outcomes, _forged({"estimator.skops": _zipped({"schema.json": json.dumps(node).encode()})}))


def forged_networks(outcomes: Outcomes) -> None:
    """Forge networks in saved files: their configuration and their weights, all digests right."""
    import keras

    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Dense(5)])
    members = _members(_saved(BottleneckFeatures(network)))
    [name] = [name for name in members if name.startswith("networks/")]
    archive = _members(members[name])
    draw = random.Random(0)
    values = [*_VALUES, 2**31 - 1, 10**6, [2**20, 2**20], "Lambda", "os", "keras.config", "TFSMLayer", "function"]
    for _ in range(150):
        config = json.loads(archive["config.json"])
        owner, key = draw.choice(list(_parts(config)))
        owner[key] = draw.choice(values)
        forged = _zipped({**archive, "config.json": json.dumps(config).encode()})
        _attempt(outcomes, _forged({**members, name: forged}), use=False)
    for _ in range(150):
        weights = bytearray(archive["model.weights.h5"])
        for _ in range(draw.choice([1, 4, 32])):
            weights[draw.randrange(len(weights))] = draw.randrange(256)
        forged = _zipped({**archive, "model.weights.h5": bytes(weights)})
        _attempt(outcomes, _forged({**members, name: forged}), use=False)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main([changed_bytes, truncations, forged_schemas, forged_arrays, bombs, forged_networks]))
