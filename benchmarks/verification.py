"""Verification and recognition of faces, of people who were not seen before.

    python benchmarks/verification.py faces_orl/ --weights mobilenet_v2.weights.h5 --faces dlib_face_resnet_150.keras

The folder has one folder of images per person. The first half of the people are there to learn, the second half to
verify: all pairs of their images. Layer, size, whitening and mirror images are chosen on the first half alone, by the
mean equal error rate over ten times two folds of people; the choice is printed before anything is verified.
Intervals are over people, 1,000 resamples. `--faces` is a Keras model of faces as a second embedding.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _rounds import describe, machine, table
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import GroupKFold, LeavePGroupsOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn.feature_extraction import BottleneckFeatures
from skcnn.metric_learning import FaceRecognizer, FaceVerifier, TripletEmbedding
from skcnn.metrics import equal_error_rate, identification_frame, identity_pairs, verification_frame, verification_rates

LAYERS = ("block_13_expand_relu", "block_13_project_BN", "block_14_add", "out_relu")
SIZES = (96, 112, 224)


class Vectors(TransformerMixin, BaseEstimator):
    """Rows of numbers as they are: for the times of a database."""

    def fit(self, X: Any, y: Any = None) -> Vectors:
        """Return itself."""
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return X."""
        return np.asarray(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags


def grey(paths: Any) -> np.ndarray:
    """Return images as rows of grey pixels."""
    return np.array([np.asarray(Image.open(path).convert("L"), float).ravel() for path in paths])


def pairs_of(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all pairs of images, whether they are of one person, and whose they are."""
    pairs, is_same = identity_pairs(y)
    return np.stack([X[pairs[:, 0]], X[pairs[:, 1]]], axis=1), is_same.astype(int), y[pairs]


def cross_validated(verifier: FaceVerifier, X: np.ndarray, y: np.ndarray) -> float:
    """Return the mean equal error rate of people that were held out."""
    rates = []
    for seed in range(10):
        for rows, held_out in GroupKFold(2, shuffle=True, random_state=seed).split(X, y, groups=y):
            table_of_pairs, is_same, _ = pairs_of(X[held_out], y[held_out])
            fitted = clone(verifier).set_params(threshold=1.0, cv=2).fit(X[rows], y[rows])
            rates.append(equal_error_rate(is_same, fitted.decision_function(table_of_pairs)))
    return float(np.mean(rates))


def percent(value: float, low: float | None = None, high: float | None = None) -> str:
    """Return a fraction in percent, with its interval."""
    interval = "" if low is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * value:.1f}{interval}"


def row_of(name: str, frame: pd.DataFrame) -> list[str]:
    """Return a row of the table of verifiers."""
    metrics = ["eer", "tar@far=0.01", "tar@far=0.001"]
    return [name, *(percent(*frame.loc[metric, ["value", "low", "high"]]) for metric in metrics)]


def chosen(X: np.ndarray, y: np.ndarray, weights: str, cache: str) -> list[tuple[float, str, FaceVerifier]]:
    """Return the five verifiers with the lowest cross-validated errors: these, names and verifiers."""
    found = []
    for layer, size, whiten, mirror in product(LAYERS, SIZES, (None, "lda"), (False, True)):
        if layer == "out_relu" and whiten:
            continue  # 1,280 dimensions: minutes
        where = {"layers": layer, "image_size": size, "cache": cache}
        network = BottleneckFeatures("MobileNetV2", weights=weights, verbose=0, **where)
        verifier = FaceVerifier(network, far=0.01, whiten=whiten, mirror=mirror)
        found.append((cross_validated(verifier, X, y), f"{layer}, {size}, {whiten}, {mirror}", verifier))
    found.sort(key=lambda one: one[:2])
    return found[:5]


def learned_thresholds(
    best: FaceVerifier, X: np.ndarray, y: np.ndarray, X_new: np.ndarray, y_new: np.ndarray
) -> list[list[str]]:
    """Return rows about thresholds: what fit says of its rate, what it is of new people, and in sample."""
    pairs, is_same, names = pairs_of(X_new, y_new)
    seen, seen_same, _ = pairs_of(X, y)
    rows = []
    ways = (("5 folds", GroupKFold(5)), ("two of ten groups", None), ("two people at a time", LeavePGroupsOut(2)))
    for far, (how, cv) in product((0.01, 0.001), ways):
        fitted = clone(best).set_params(far=far, cv=cv).fit(X, y)
        score, known = fitted.decision_function(pairs), fitted.rates_
        realised = verification_rates(is_same, score, 0, people=names, random_state=0).loc["all"]
        in_sample = np.quantile((fitted.threshold_ - fitted.decision_function(seen))[seen_same == 0], far)
        rows.append(
            [
                f"{100 * far:g} %, {how}",
                f"{known['n_impostor']:,.0f}",
                f"{100 * known['far']:.2f} ({100 * known['far_low']:.2f} to {100 * known['far_high']:.2f})",
                f"{100 * realised['far']:.2f} ({100 * realised['far_low']:.2f} to {100 * realised['far_high']:.2f})",
                percent(1 - realised["frr"]),
                f"{100 * np.mean((fitted.threshold_ - score)[is_same == 0] <= in_sample):.2f}",
            ]
        )
    return rows


def triplets(
    X: np.ndarray, y: np.ndarray, X_new: np.ndarray, y_new: np.ndarray, network: dict[str, Any], seeds: int
) -> list[list[str]]:
    """Return rows of the trained embedding beside its own start, over seeds."""
    pairs, is_same, people = pairs_of(X_new, y_new)
    ways: dict[str, dict[str, Any]] = {
        "start: centred principal axes": {"head_epochs": 0, "epochs": 0},
        "head trained": {"epochs": 0},
        "head and layers trained": {},
    }
    rows = []
    for name, parameters in ways.items():
        frames = []
        for seed in range(1 if "start" in name else seeds):
            embedding = TripletEmbedding(**network, **parameters, random_state=seed, verbose=0).fit(X, y)
            # As it is: the centre is in it.
            verifier = FaceVerifier(embedding, center=False, threshold=1.0).fit(pairs[:2], [1, 1])
            score = verifier.decision_function(pairs)
            frames.append(verification_frame(is_same, score, people=people, far=[0.01, 0.001], random_state=0))
        values = np.array([frame["value"] for frame in frames])
        rows.append(
            [
                name,
                *(
                    f"{100 * values[:, column].mean():.1f} ({100 * values[:, column].min():.1f} to "
                    f"{100 * values[:, column].max():.1f})"
                    for column in (0, 2, 3)
                ),
            ]
        )
    return rows


def open_set(
    recognizer: FaceRecognizer, X: np.ndarray, y: np.ndarray, X_new: np.ndarray, y_new: np.ndarray
) -> list[list[str]]:
    """Return rows about 20 enrolled people, half of whose images are enrolled, and 20 unknown ones."""
    number = np.concatenate([np.arange(count) for count in np.unique(y, return_counts=True)[1]])
    enrolled = number % 2 == 0
    fitted = clone(recognizer).fit(X[enrolled], y[enrolled])
    probes, names = np.concatenate([X[~enrolled], X_new]), np.concatenate([y[~enrolled], y_new])
    score = fitted.decision_function(probes)
    frame = identification_frame(names, score, classes=fitted.classes_, far=[0.1, 0.01], random_state=0)
    rows = [[metric, percent(row["value"], row["low"], row["high"])] for metric, row in frame.iterrows()]
    accepted = fitted.predict(probes) != "unknown"
    unknown = np.isin(names, y_new)
    rates = fitted.rates_
    rows.append(
        [
            f"learned threshold, far={fitted.far:g}: FAR of people held out in fit",
            percent(rates["far"], rates["far_low"], rates["far_high"]),
        ]
    )
    by_person = [accepted[names == name].mean() for name in np.unique(y_new)]
    drawn = np.random.default_rng(0).choice(by_person, (1000, len(by_person))).mean(axis=1)
    rows.append(["its FAR of the unknown people", percent(np.mean(by_person), *np.quantile(drawn, [0.025, 0.975]))])
    right = fitted.predict(probes[~unknown]) == names[~unknown]
    rows.append(["known probes named rightly at it", percent(right.mean())])
    before, answers = score, fitted.predict(probes)
    fitted.partial_fit(X_new[:10], y_new[:10])
    assert np.array_equal(fitted.predict(probes[~unknown]), answers[~unknown])
    change = np.abs(fitted.decision_function(probes)[:, : before.shape[1]] - before).max()
    fitted.forget(y_new[0])
    assert np.array_equal(fitted.predict(probes), answers)
    change_after = np.abs(fitted.decision_function(probes) - before).max()
    rows.append(
        ["largest change of a distance to others by enrolment, by forgetting", f"{change:.1g}, {change_after:.1g}"]
    )
    return rows


def database(n_identities: int) -> list[list[str]]:
    """Return rows about how long it takes to find one of many identities."""
    rows = []
    for n_dimensions, metric in product((128, 576), ("cosine", "euclidean")):
        X = np.random.default_rng(0).normal(size=(n_identities, n_dimensions)).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "people.sqlite"
            recognizer = FaceRecognizer(Vectors(), threshold=0.5, center=False, metric=metric, store=path)
            started = time.perf_counter()
            recognizer.partial_fit(X, [f"person {number}" for number in range(n_identities)])
            enrolment = time.perf_counter() - started
            recognizer.who_is_it(X[0])
            seconds = []
            for number in range(100):
                started = time.perf_counter()
                answer = recognizer.who_is_it(X[number])
                seconds.append(time.perf_counter() - started)
                assert answer.name == f"person {number}"
            reader = FaceRecognizer(Vectors(), threshold=0.5, center=False, metric=metric)
            reader.partial_fit(X[:1], ["somebody"]).set_params(store=path)
            started = time.perf_counter()
            reader.who_is_it(X[0])
            opening = time.perf_counter() - started
            megabytes = path.stat().st_size / 2**20
        rows.append(
            [
                f"{n_dimensions}, {metric}",
                f"{1000 * np.median(seconds):.1f}",
                f"{1000 * np.quantile(seconds, 0.95):.1f}",
                f"{enrolment:.1f}",
                f"{opening:.1f}",
                f"{megabytes:.0f}",
            ]
        )
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", required=True, help="of MobileNetV2")
    parser.add_argument("--faces", help="a Keras model that embeds faces")
    parser.add_argument("--seeds", type=int, default=5, help="of the trained embeddings")
    parser.add_argument("--cache", default="memory", help="folder for features; they are in memory by default")
    parser.add_argument("--identities", type=int, default=100_000, help="in the database")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message=".*fewer than 1 / far")
    people = sorted(person for person in options.folder.iterdir() if person.is_dir())
    paths = [[str(path) for path in sorted(person.iterdir())] for person in people]
    X = np.array([path for person in paths for path in person], dtype=object)
    y = np.repeat([person.name for person in people], [len(person) for person in paths])
    first = np.isin(y, [person.name for person in people[: len(people) // 2]])
    X, X_new, y, y_new = X[first], X[~first], y[first], y[~first]
    started = time.perf_counter()

    def network(**parameters: Any) -> BottleneckFeatures:
        return BottleneckFeatures("MobileNetV2", weights=options.weights, verbose=0, cache=options.cache, **parameters)

    ranking = chosen(X, y, options.weights, options.cache)
    best = ranking[0][2]
    print(describe(machine()) + "\n")
    header = ["layer, size, whitening, mirror: the best five", "EER % of people held out"]
    print(table(header, [[name, percent(rate)] for rate, name, _ in ranking]), flush=True)
    block = best.embedding.get_params()
    pixels = FunctionTransformer(grey)
    plain: dict[str, Any] = {"far": 0.01, "center": False}
    fisher = make_pipeline(pixels, PCA(100, random_state=0), LinearDiscriminantAnalysis())
    verifiers = {
        "grey pixels": FaceVerifier(pixels, **plain),
        "eigenfaces (40)": FaceVerifier(make_pipeline(pixels, PCA(40, random_state=0)), **plain),
        "Fisherfaces (19)": FaceVerifier(fisher, **plain),
        "MobileNetV2, last layer": FaceVerifier(network(), **plain),
        "MobileNetV2, last layer, centred": FaceVerifier(network(), far=0.01),
        "block 13 at 224, LDA (19)": FaceVerifier(network(layers=LAYERS[0]), far=0.01, whiten="lda", n_components=19),
        "chosen, without whitening": clone(best).set_params(whiten=None),
        "chosen, without mirror images": clone(best).set_params(mirror=False),
        "chosen": clone(best),
        **{f"({place}. of the five)": clone(one[2]) for place, one in enumerate(ranking[1:], start=2)},
    }
    if options.faces:
        faces = BottleneckFeatures(options.faces, verbose=0, cache=options.cache)
        verifiers["network of faces"] = FaceVerifier(faces, metric="euclidean", **plain)
        verifiers["network of faces, centred, LDA, mirror"] = FaceVerifier(faces, far=0.01, whiten="lda", mirror=True)
    pairs, is_same, names = pairs_of(X_new, y_new)
    rows = []
    for name, verifier in verifiers.items():
        fitted = verifier.fit(X, y)
        score = fitted.decision_function(pairs)
        rows.append(row_of(name, verification_frame(is_same, score, people=names, random_state=0)))
    thresholds = learned_thresholds(best, X, y, X_new, y_new)
    print(f"\n{(is_same == 1).sum():,} genuine pairs, {(is_same == 0).sum():,} impostor pairs of the other people:\n")
    print(table(["%, with intervals over people", "EER", "TAR at FAR 1 %", "TAR at FAR 0.1 %"], rows), flush=True)
    print("\nThe learned threshold of what was chosen:\n")
    header = [
        "far, people held out",
        "impostor pairs",
        "FAR % of these people",
        "FAR % of new people",
        "TAR % of these",
    ]
    header.append("FAR % of a threshold in sample")
    print(table(header, thresholds), flush=True)
    print(f"\nTripletEmbedding, {options.seeds} seeds, mean and range:\n")
    # "hard" was the better mining in cross-validation over people 1-20.
    backbone = {"backbone": "MobileNetV2", "weights": options.weights, "mining": "hard"}
    backbone |= {"layer": block["layers"], "image_size": block["image_size"]}
    trained = triplets(X, y, X_new, y_new, backbone, options.seeds)
    print(table(["%", "EER", "TAR at FAR 1 %", "TAR at FAR 0.1 %"], trained), flush=True)
    print("\nOpen set: half of the images of 20 people enrolled, the others and 20 unknown people as probes:\n")
    recognizer = FaceRecognizer(best.embedding, far=0.01, whiten=best.whiten, mirror=best.mirror)
    print(table(["", "%, with intervals over people"], open_set(recognizer, X, y, X_new, y_new)), flush=True)
    print(f"\nOne of {options.identities:,} identities:\n")
    header = ["dimensions", "ms, median", "ms, 95 %", "s to enrol all", "s to open and answer", "MB on disk"]
    print(table(header, database(options.identities)))
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
