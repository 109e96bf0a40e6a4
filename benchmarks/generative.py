"""Generated images: every member of the GAN family, a variational autoencoder and a kernel density, by one judge.

    python benchmarks/generative.py digits --out rows.json [--members wgan-gp ...] [--seeds 3] [--size 32]
    python benchmarks/generative.py collapse --out collapse.json
    python benchmarks/generative.py augment --out augment.json
    python benchmarks/generative.py faces --data faces_orl/ --out faces.json --grids grids/
    python benchmarks/generative.py table --out rows.json

``digits`` fits each model on half of scikit-learn's digits (8 x 8 pixels, one grey channel) and generates as many
images as the other half has. The judge is a small network that classifies digits, trained on the half that models are
fitted on: its 64 features are scaled to a mean square of 1 on the other half. Of three judges and as many fits: medians
of the kernel distance, of the Frechet feature distance, of how many digits are covered, and of how many images are
recognised as the digit that was asked for; and the smallest and largest values. The kernel distance is also given
relative to that of scikit-learn's own example, a kernel density in 15 principal components. Seconds are those of
processors. Rows are written as they
are made, and not made again: a run that was ended goes on where it was.

``collapse`` fits models with a rate that makes them collapse, and others with the default, and counts warnings.

``augment`` fits a classifier on 10 images per digit, with and without 1,000 images of a conditional GAN that was fitted
on the same 100 images, and measures both on the other half.

``faces`` fits on grey images of faces at 32 x 32 pixels, one folder per person, and writes how the kernel distance on
held-out images falls, and a grid to look at.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KernelDensity
from sklearn.svm import SVC

from skcnn.decomposition import VariationalAutoencoder
from skcnn.generative import CollapseWarning, ImageGAN
from skcnn.metrics import class_coverage_frame, feature_precision_recall, frechet_feature_distance, kernel_distance

N_JUDGES = 3
#: Of the density, on pixels in [0, 1]: the best of scikit-learn's example, whose pixels are in [0, 16].
BANDWIDTH = 3.79 / 16

#: Nothing is compared while models are fitted: all images of the half are trained on.
COMMON: dict[str, Any] = {"n_evaluations": 0, "validation_fraction": 0.0, "verbose": 0}
GANS: dict[str, dict[str, Any]] = {
    "wgan-gp, conditional": {"loss": "wgan-gp", "conditional": True},
    "wgan-gp": {"loss": "wgan-gp", "epochs": 1000},
    "gan, conditional": {"loss": "gan", "conditional": True},
    "gan": {"loss": "gan"},
    "wgan": {"loss": "wgan", "learning_rate": 1e-3, "clip": 0.1},
    "dcgan": {"loss": "dcgan", "layers": "conv", "filters": (32, 64), "epochs": 100},
    "began": {"loss": "began"},
}
VAE: dict[str, Any] = {"filters": (64, 128), "learning_rate": 2e-3, "epochs": 300}
#: What differs for digits of 32 x 32 pixels: there is more to learn, and convolutions have 16 times as many positions.
AT_32: dict[str, dict[str, Any]] = {
    "wgan-gp, conditional": {"epochs": 600},
    "wgan-gp": {"epochs": 2000},
    "wgan": {"layers": "dense"},
    "dcgan": {"filters": (32, 64, 128), "epochs": 200},
    "VAE's prior": {"filters": (32, 64), "epochs": 60},
}
OTHERS = ("real images", "PCA + KDE", "VAE's prior")


class Halves(NamedTuple):
    """Digits to fit on and to judge by, uint8 (n, size, size), and their labels."""

    fit: np.ndarray
    fit_labels: np.ndarray
    judge: np.ndarray
    judge_labels: np.ndarray


def halves(size: int) -> Halves:
    """Return both halves of the digits."""
    digits = load_digits()
    X = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    if size != X.shape[1]:
        X = np.stack([np.asarray(Image.fromarray(x).resize((size, size), Image.Resampling.BICUBIC)) for x in X])
    fit, judge, fit_labels, judge_labels = train_test_split(
        X, digits.target, test_size=0.5, stratify=digits.target, random_state=0
    )
    return Halves(fit, fit_labels, judge, judge_labels)


class Judge:
    """A classifier of digits, by whose features images are compared."""

    def __init__(self, data: Halves, seed: int):
        import keras

        size = data.fit.shape[1]
        keras.utils.set_random_seed(seed)
        layers = keras.layers
        pixels = keras.Input((size, size, 1))
        x = layers.Rescaling(1 / 255)(pixels)
        for _ in range((size // 8).bit_length() - 1):  # to 8 x 8 positions
            x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
        x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
        x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
        x = layers.Flatten()(layers.MaxPooling2D()(x))
        features = layers.Dense(64, activation="relu")(x)
        scores = layers.Dense(10)(layers.Dropout(0.5)(features))
        network = keras.Model(pixels, scores)
        network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
        network.fit(data.fit[..., None], data.fit_labels, epochs=20, batch_size=32, verbose=0)
        self._both = keras.Model(pixels, [features, scores])
        self._scale = 1.0
        self.real, found = self(data.judge)
        self._scale = np.sqrt((self.real**2).mean())
        self.real = self.real / self._scale
        self.labels = data.judge_labels
        self.accuracy = float((found == data.judge_labels).mean())

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return scaled features, and digits."""
        features, scores = self._both.predict(images[..., None].astype("float32"), verbose=0, batch_size=256)
        return features / self._scale, scores.argmax(axis=1)

    def measure(self, images: np.ndarray, asked: np.ndarray | None) -> dict[str, float]:
        """Return how good images are."""
        features, digits = self(images)
        return {
            "kernel_distance": kernel_distance(self.real, features),
            "frechet": frechet_feature_distance(self.real, features),
            **feature_precision_recall(self.real, features),
            "digits_covered": int(class_coverage_frame(self.labels, digits)["is_covered"].sum()),
            "as_asked": float("nan") if asked is None else float((digits == asked).mean()),
            "accuracy_of_judge": self.accuracy,
        }


def density_of(data: Halves, seed: int) -> np.ndarray:
    """Return images of a kernel density in 15 principal components."""
    flat = data.fit.reshape(len(data.fit), -1) / 255
    pca = PCA(15, random_state=0).fit(flat)
    scale = data.fit.shape[1] / 8  # as many times as many pixels
    density = KernelDensity(bandwidth=BANDWIDTH * scale).fit(pca.transform(flat))
    drawn = pca.inverse_transform(density.sample(len(data.judge), random_state=seed))
    return np.rint(np.clip(drawn, 0, 1) * 255).astype(np.uint8).reshape(data.judge.shape)


def make(
    name: str, data: Halves, seed: int, epochs: int | None
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Fit a model, and return as many images as judges have, the digits asked for, and what is known of the fit."""
    begun = time.process_time()
    if name == "real images":
        return data.fit[: len(data.judge)], data.fit_labels[: len(data.judge)], {}
    if name == "PCA + KDE":
        return density_of(data, seed), None, {"seconds": time.process_time() - begun}
    changed = (AT_32.get(name, {}) if data.fit.shape[1] > 8 else {}) | ({} if epochs is None else {"epochs": epochs})
    if name == "VAE's prior":
        vae = VariationalAutoencoder(8, **VAE | changed, verbose=0, random_state=seed).fit(data.fit)
        return vae.sample(len(data.judge), random_state=seed), None, {"seconds": time.process_time() - begun}
    parameters = {**COMMON, **GANS[name], **changed}
    gan = ImageGAN(**parameters, random_state=seed).fit(data.fit, data.fit_labels)
    seconds = time.process_time() - begun
    asked = data.judge_labels if parameters.get("conditional") else None
    images = gan.sample(len(data.judge), asked, random_state=seed)
    return images, asked, {"seconds": seconds, "epochs": gan.n_iter_}


def digits(out: Path, members: list[str], n_seeds: int, size: int, epochs: int | None, grids: Path | None) -> None:
    """Make the rows that are not there yet."""
    rows = json.loads(out.read_text()) if out.exists() else []
    done = {(row["member"], row["seed"], row["size"], row.get("asked_epochs")) for row in rows}
    wanted = [(name, seed) for seed in range(n_seeds) for name in members]
    wanted = [(name, seed) for name, seed in wanted if (name, seed, size, epochs) not in done]
    if not wanted:
        return
    data = halves(size)
    judges = [Judge(data, seed) for seed in range(N_JUDGES)]
    for name, seed in wanted:
        images, asked, known = make(name, data, seed, epochs)
        measured = [judge.measure(images, asked) for judge in judges]
        rows.append({"member": name, "seed": seed, "size": size, "asked_epochs": epochs, **known, "judges": measured})
        out.write_text(json.dumps(rows, indent=1))
        print(name, seed, {key: round(float(np.median([m[key] for m in measured])), 4) for key in measured[0]}, known)
        sys.stdout.flush()
        if grids is not None:
            grids.mkdir(parents=True, exist_ok=True)
            tiles = images[np.argsort(asked, kind="stable")[::9] if asked is not None else slice(0, 100)][:100]
            grid = tiles.reshape(10, -1, size, size).transpose(0, 2, 1, 3).reshape(10 * size, -1)
            Image.fromarray(grid).resize((4 * grid.shape[1], 4 * grid.shape[0]), 0).save(
                grids / f"{name.replace(', ', '_')}_{size}_{seed}.png"
            )  # fmt: skip


def spread(rows: list[dict[str, Any]], value: Callable[[dict[str, Any], int], float], digits: int) -> str:
    """Return the median over fits and judges, and the smallest and largest value."""
    values = np.array([value(measured, number) for row in rows for number, measured in enumerate(row["judges"])])
    if np.isnan(values).all():
        return ""
    return f"{np.median(values):.{digits}f} ({values.min():.{digits}f} to {values.max():.{digits}f})"


def table(out: Path) -> None:
    """Print the table of the rows that there are."""
    rows = json.loads(out.read_text())
    print("| model | size | fits | KID, 1e-3 | of KDE's KID | Frechet | coverage | digits | as asked | seconds |")
    print("|" + " --- |" * 10)
    for size in sorted({row["size"] for row in rows}):
        of_kde = [row for row in rows if row["member"] == "PCA + KDE" and row["size"] == size]
        base = [
            float(np.median([row["judges"][number]["kernel_distance"] for row in of_kde])) if of_kde else float("nan")
            for number in range(N_JUDGES)
        ]
        for member in dict.fromkeys(row["member"] for row in rows if row["size"] == size):
            own = [row for row in rows if row["member"] == member and row["size"] == size]
            seconds = [row["seconds"] for row in own if "seconds" in row]
            cells = [
                spread(own, lambda m, _: 1e3 * m["kernel_distance"], 1),
                spread(own, lambda m, number, base=base: m["kernel_distance"] / base[number], 2),
                spread(own, lambda m, _: m["frechet"], 2),
                spread(own, lambda m, _: m["coverage"], 2),
                spread(own, lambda m, _: m["digits_covered"], 0),
                spread(own, lambda m, _: m["as_asked"], 3),
                f"{np.median(seconds):.0f}" if seconds else "",
            ]
            print(f"| {member} | {size} | {len(own)} | " + " | ".join(cells) + " |")


def collapse(out: Path, n_seeds: int, epochs: int) -> None:
    """Count the warnings of fits that collapse, and of healthy ones."""
    data = halves(8)
    found = []
    for name, parameters in {
        "healthy": {"loss": "wgan-gp"},
        "planted": {"loss": "gan", "learning_rate": 0.05, "learning_rate_schedule": "constant"},
    }.items():
        for seed in range(n_seeds):
            gan = ImageGAN(**parameters, epochs=epochs, n_evaluations=5, verbose=0, random_state=seed)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                gan.fit(data.fit)
            last = gan.history_[["diversity", "coverage"]].dropna().iloc[-1].to_dict()
            warned = any(issubclass(one.category, CollapseWarning) for one in caught)
            found.append({"fit": name, "seed": seed, "warned": warned, **last})
            print(found[-1], flush=True)
            out.write_text(json.dumps(found, indent=1))


def augment(out: Path, n_seeds: int, epochs: int) -> None:
    """Compare classifiers with and without generated images."""
    data, found = halves(8), []
    for seed in range(n_seeds):
        random = np.random.default_rng(seed)
        rows = np.concatenate(
            [random.choice(np.flatnonzero(data.fit_labels == digit), 10, False) for digit in range(10)]
        )
        X, y = data.fit[rows], data.fit_labels[rows]
        gan = ImageGAN(**COMMON, conditional=True, epochs=epochs, random_state=seed).fit(X, y)
        asked = np.repeat(np.arange(10), 100)
        more = gan.sample(len(asked), asked, random_state=seed)
        row: dict[str, Any] = {"seed": seed}
        for name, classifier in {"LogisticRegression": LogisticRegression(max_iter=5000), "SVC": SVC()}.items():
            for kind, (images, labels) in {
                "alone": (X, y),
                "with generated": (np.concatenate([X, more]), np.concatenate([y, asked])),
            }.items():
                fitted = classifier.fit(images.reshape(len(images), -1) / 255, labels)
                accuracy = fitted.score(data.judge.reshape(len(data.judge), -1) / 255, data.judge_labels)
                row[f"{name}, {kind}"] = round(float(accuracy), 4)
        found.append(row)
        print(row, flush=True)
        out.write_text(json.dumps(found, indent=1))


def faces(data: Path, out: Path, epochs: int, grids: Path | None) -> None:
    """Fit on faces, and write the history and a grid."""
    from skcnn.datasets import load_image_folder
    from skcnn.generative import GenerationHistoryDisplay

    frame = load_image_folder(data).frame
    begun = time.perf_counter()
    gan = ImageGAN(
        image_size=32, color_mode="grayscale", layers="dense", filters=(512, 512), epochs=epochs, n_evaluations=8,
        random_state=0, verbose=0,
    ).fit(frame[["path"]])  # fmt: skip
    history = gan.history_[["epoch", "kernel_distance", "diversity", "coverage"]].dropna()
    print(f"{len(frame)} images, {time.perf_counter() - begun:.0f} s", flush=True)
    print(history.round(3).to_string(index=False))
    out.write_text(history.to_json(orient="records"))
    if grids is not None:
        grids.mkdir(parents=True, exist_ok=True)
        images = gan.sample(64, random_state=0).reshape(8, 8, 32, 32).transpose(0, 2, 1, 3).reshape(256, 256)
        Image.fromarray(images).resize((768, 768)).save(grids / "faces.png")
        GenerationHistoryDisplay.from_estimator(gan).plot().figure_.savefig(grids / "faces_history.png")


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["digits", "collapse", "augment", "faces", "table"])
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the rows")
    parser.add_argument("--data", type=Path, help="folder of faces")
    parser.add_argument("--members", nargs="+", choices=[*OTHERS, *GANS], help="models; by default all")
    parser.add_argument("--seeds", type=int, default=3, help="fits of each model")
    parser.add_argument("--size", type=int, default=8, help="height and width that digits are resized to")
    parser.add_argument("--epochs", type=int, help="epochs of each model; by default its own")
    parser.add_argument("--grids", type=Path, help="folder for images of what was generated")
    options = parser.parse_args(arguments)
    if options.command == "table":
        table(options.out)
    elif options.command == "collapse":
        collapse(options.out, options.seeds, options.epochs or 200)
    elif options.command == "augment":
        augment(options.out, options.seeds, options.epochs or 1500)
    elif options.command == "faces":
        faces(options.data, options.out, options.epochs or 500, options.grids)
    else:
        members = options.members or [*OTHERS, *GANS]
        digits(options.out, members, options.seeds, options.size, options.epochs, options.grids)
    return 0


if __name__ == "__main__":
    sys.exit(main())
