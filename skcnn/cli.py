"""The command ``skcnn``: the main job from a shell."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn import __version__

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline
    from sklearn.utils import Bunch

TABLE_WRITERS: dict[str, Callable[[Any, str], None]] = {
    ".parquet": lambda frame, path: frame.to_parquet(path, index=False),
    ".csv": lambda frame, path: frame.to_csv(path, index=False),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code: 0, 1 (an error, told in a line), 2 (usage) or 130 (interrupted)."""
    options = _parser().parse_args(arguments)
    try:
        if options.starts_keras:
            _start_keras_quietly()
        options.command(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("skcnn: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has had enough (`| head`). Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if options.debug:
            raise
        print(f"skcnn: error: {error or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    common.add_argument("--quiet", action="store_true", help="no progress bar")

    parser = argparse.ArgumentParser(
        prog="skcnn",
        description="Classify images with the features of pretrained networks and a linear classifier.",
        epilog=(
            "A folder of pictures has a folder for each class: flowers/rose/1.jpg. In place of a folder a table works\n"
            "too: a .csv file with the columns 'path' and 'label'.\n\n"
            "examples:\n"
            "  skcnn demo                                               a minute, offline: see what it does\n"
            "  skcnn fit flowers/ -o flowers.skcnn                      learn from a folder of pictures\n"
            "  skcnn evaluate flowers.skcnn test/ --html report.html    how good is it on other pictures?\n"
            "  skcnn predict flowers.skcnn a.jpg b.jpg --top 5          what is on these?\n"
            "  skcnn extract flowers/ -o features.parquet               only the features, as a table\n"
            "  skcnn extract flowers/ -o f.parquet --cache features/    each picture through the network once, ever\n"
            "  skcnn backbones                                          which networks there are\n"
            "  skcnn cache info features/                               what a cache directory holds\n\n"
            "`skcnn COMMAND --help` tells the options of a command."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"skcnn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[argparse.Namespace], None], help: str, **texts: str) -> Any:
        added = commands.add_parser(
            name,
            parents=[common],
            help=help,
            description=texts.get("description", help[0].upper() + help[1:] + "."),
            epilog=texts.get("epilog"),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(command=command, starts_keras=command not in (_backbones, _cache))
        return added

    demo = add(
        "demo",
        _demo,
        "learn scikit-learn's handwritten digits, offline, within a minute",
        epilog="It uses ResNet20, whose CIFAR-10 weights come with skcnn, and compares with logistic regression on raw "
        "pixels.",
    )
    demo.add_argument("--html", metavar="PATH", default="skcnn-demo.html", help="the report (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0, help="of the split into training and test (default: %(default)s)")

    fit = add(
        "fit",
        _fit,
        "learn from a folder of pictures and save the model",
        epilog="examples:\n"
        "  skcnn fit flowers/ -o flowers.skcnn\n"
        "  skcnn fit train.csv -o model.skcnn --backbone EfficientNetB0 --cv 10\n"
        "  skcnn fit flowers/ -o flowers.skcnn --weights mobilenet_v2.weights.h5    (no download)",
    )
    _add_data(fit)
    fit.add_argument("-o", "--output", metavar="MODEL", required=True, help="where to save it, such as flowers.skcnn")
    _add_features(fit)
    fit.add_argument("--alpha", type=_alpha, default="auto", help="strength of the penalty (default: 1 / n_samples)")
    fit.add_argument(
        "--class-weight", choices=["balanced"], help="count all classes alike (costs log-loss where they are not)"
    )
    fit.add_argument("--cv", type=int, default=5, help="folds of the estimate that is printed; 0 for none (default: 5)")
    fit.add_argument("--seed", type=int, default=0, help="of the folds and of the classifier (default: %(default)s)")

    evaluate = add("evaluate", _evaluate, "tell how good a saved model is on labelled pictures")
    evaluate.add_argument("model", help="a file that `skcnn fit` wrote")
    _add_data(evaluate)
    evaluate.add_argument("--html", metavar="PATH", help="also write a report with ROC, PR and confusion pictures")

    predict = add("predict", _predict, "tell the classes of pictures, as tab-separated lines")
    predict.add_argument("model", help="a file that `skcnn fit` wrote")
    predict.add_argument("images", nargs="+", metavar="IMAGE", help="picture files or URLs")
    predict.add_argument("--top", type=int, default=1, metavar="K", help="the K likeliest classes (default: 1)")

    extract = add("extract", _extract, "write the features of pictures to a table (.parquet or .csv)")
    _add_data(extract)
    extract.add_argument("-o", "--output", metavar="TABLE", required=True, help="such as features.parquet")
    _add_features(extract)

    add("backbones", _backbones, "list the networks, their input sizes and their bottleneck layers")

    cache = add(
        "cache",
        _cache,
        "tell what a cache directory holds, empty it, or check it",
        epilog="info tells what is held and what it saved; clear forgets all of it and gives the space back; verify\n"
        "checks every record, removes bad ones and then exits with 1. Processes may be using the directory.",
    )
    cache.add_argument("action", choices=["info", "clear", "verify"])
    cache.add_argument("directory", help="such as BottleneckFeatures(cache=DIRECTORY) made")
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", help="a folder with a folder of pictures for each class, or a .csv with path and label")


def _add_features(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backbone", default="MobileNetV2", help="see `skcnn backbones` (default: %(default)s)")
    parser.add_argument("--weights", default="pretrained", help="a name or a .h5 file (default: %(default)s)")
    parser.add_argument("--layers", nargs="+", metavar="LAYER", help="bottleneck layers, joined (default: the last)")
    parser.add_argument("--pooling", choices=["avg", "max", "none"], default="avg", help="(default: %(default)s)")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="(default: the network's own)")
    parser.add_argument(
        "--resize",
        choices=["stretch", "crop", "pad"],
        default="stretch",
        help="what becomes of another aspect ratio (default: %(default)s)",
    )
    parser.add_argument("--batch-size", type=int, help="(default: 32 on a CPU, found by trial on a GPU)")
    parser.add_argument(
        "--engine",
        choices=["auto", "keras", "openvino"],
        default="auto",
        help="what runs the network; auto is the fastest at hand (default: %(default)s)",
    )
    parser.add_argument(
        "--precision", choices=["float32", "bfloat16"], default="float32", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--cache",
        metavar="DIRECTORY",
        default="memory",
        help="keep features there, so that no picture goes through the network a second time, and a run that was "
        "interrupted goes on where it stopped",
    )


def _alpha(text: str) -> float | str:
    return "auto" if text == "auto" else float(text)


def _load_data(data: str) -> Bunch:
    from skcnn.datasets import load_image_folder, load_image_table

    return load_image_table(data) if data.lower().endswith(".csv") else load_image_folder(data)


def _features(options: argparse.Namespace) -> Any:
    from skcnn.feature_extraction import BottleneckFeatures

    return BottleneckFeatures(
        options.backbone,
        weights=options.weights,
        layers=options.layers,
        pooling=None if options.pooling == "none" else options.pooling,
        image_size=options.image_size,
        resize=options.resize,
        batch_size=options.batch_size,
        engine=options.engine,
        precision=options.precision,
        cache=options.cache,
        verbose=_verbose(options),
    )


def _start_keras_quietly() -> None:
    """Start Keras's backend without its notices on which instructions and devices it found.

    TensorFlow writes them to the process's standard error before any logging level counts, so that is where they are
    caught; they are shown after all if it does not start.
    """
    from skcnn._keras import import_keras

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as notices:
        os.dup2(notices.fileno(), 2)
        try:
            import_keras().ops.zeros(1)
        except BaseException:
            notices.seek(0)
            os.write(terminal, notices.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def _verbose(options: argparse.Namespace) -> int:
    """Show progress to a person, not to a log file."""
    return int(sys.stderr.isatty() and not options.quiet)


def _check_writable(path: str) -> None:
    """Refuse an output path before minutes of work go into what could not be written."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{path}: the folder {folder} does not exist")
    if Path(path).is_dir() or not os.access(folder, os.W_OK):
        raise PermissionError(f"{path} cannot be written")


def _demo(options: argparse.Namespace) -> None:
    import pandas as pd
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    from skcnn.cache import memory_cache
    from skcnn.datasets import load_digit_images
    from skcnn.metrics import ClassifierReport

    _check_writable(options.html)
    digits = load_digit_images()
    X_train, X_test, raw_train, raw_test, y_train, y_test = train_test_split(
        digits.data,
        load_digits().data / 16,
        digits.target,
        test_size=0.3,
        stratify=digits.target,
        random_state=options.seed,
    )
    print(
        f"Handwritten digits: {len(X_train)} to learn from, {len(X_test)} to test on.\n"
        "Searching bottleneck layers and alpha of ResNet20 -> BaggedSGDClassifier, 5-fold ..."
    )
    search = demo_search(options.seed, verbose=_verbose(options)).fit(X_train, y_train)
    report = ClassifierReport.from_estimator(search, X_test, y_test, name="skcnn demo: handwritten digits")
    pixels = LogisticRegression(max_iter=1000).fit(raw_train, y_train)
    baseline = ClassifierReport.from_estimator(pixels, raw_test, y_test)

    table = pd.DataFrame(
        {
            "logistic regression on raw pixels": baseline.frame()["value"],
            "ResNet20 features + BaggedSGDClassifier": report.frame()["value"],
        }
    )
    print(f"\nOn the {len(X_test)} test pictures:\n\n{table.round(3).to_string()}\n")
    candidates = pd.DataFrame(search.cv_results_).sort_values("rank_test_score")
    print("The search (mean of 5 folds, best first):\n")
    for _, row in candidates.head(5).iterrows():
        layer, alpha = row["param_bottleneckfeatures__layers"], row["param_baggedsgdclassifier__alpha"]
        print(f"  log-loss {-row['mean_test_score']:.4f}   layer {layer}, alpha {alpha}")
    uncached = (len(candidates) * search.n_splits_ + 1) * len(X_train) + len(X_test)
    print(
        f"\n{len(candidates)} candidates x {search.n_splits_} folds, the refit and the test took "
        f"{memory_cache().info().passes:,} passes of a picture through the network; without the cache: {uncached:,}."
    )
    report.to_html(options.html)
    print(
        f"Report: {options.html}\n\n"
        "Next, with your own pictures, a folder for each class:\n"
        "  skcnn fit photos/ -o photos.skcnn\n"
        "  skcnn predict photos.skcnn new.jpg --top 3\n"
        "  skcnn backbones"
    )


def demo_search(seed: int = 0, *, verbose: int = 0) -> Any:
    """Return the search that ``skcnn demo`` runs: ResNet20's bottleneck layers and the penalty of the classifier.

    Parameters
    ----------
    seed : int, default=0
        Of the classifier and of the folds.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    sklearn.model_selection.GridSearchCV
        Over pictures; not fitted.
    """
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline

    from skcnn.ensemble import BaggedSGDClassifier
    from skcnn.feature_extraction import BottleneckFeatures

    return GridSearchCV(
        make_pipeline(
            # Without pooling: where a stroke is tells digits apart.
            BottleneckFeatures("ResNet20", pooling=None, verbose=verbose),
            BaggedSGDClassifier(max_samples=1.0, random_state=seed),
        ),
        {
            "bottleneckfeatures__layers": ["stage3_unit1", "stage3_unit2", "stage3_unit3"],
            "baggedsgdclassifier__alpha": [1e-4, 1e-3],
        },
        scoring="neg_log_loss",
        cv=StratifiedKFold(5, shuffle=True, random_state=seed),
    )


def _fit(options: argparse.Namespace) -> None:
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    from skcnn.ensemble import BaggedSGDClassifier
    from skcnn.metrics import ClassifierReport
    from skcnn.persistence import save

    _check_writable(options.output)
    photos = _load_data(options.data)
    pipeline = make_pipeline(
        _features(options),
        BaggedSGDClassifier(alpha=options.alpha, class_weight=options.class_weight, random_state=options.seed),
    )
    X = photos.frame[["path"]]
    print(f"{len(X)} pictures of {len(photos.target_names)} classes: {_listed(photos.target_names)}")
    pipeline.fit(X, photos.target)
    pipeline[0].set_params(verbose=0)
    if options.cv:
        folds = StratifiedKFold(options.cv, shuffle=True, random_state=options.seed)
        probabilities = cross_val_predict(pipeline, X, photos.target, cv=folds, method="predict_proba")
        report = ClassifierReport.from_predictions(photos.target, probabilities, classes=pipeline.classes_)
        print(f"\nEstimate for new pictures, by {options.cv}-fold cross-validation:\n{report}")
    save(pipeline, options.output)
    print(f"\nSaved: {options.output}")


def _evaluate(options: argparse.Namespace) -> None:
    from skcnn.metrics import ClassifierReport
    from skcnn.persistence import load

    if options.html:
        _check_writable(options.html)
    pipeline = load(options.model)
    photos = _load_data(options.data)
    pipeline = _with_progress(pipeline, options)
    report = ClassifierReport.from_estimator(
        pipeline, photos.frame[["path"]], photos.target, name=f"{Path(options.model).stem} on {Path(options.data).name}"
    )
    print(report)
    if options.html:
        report.to_html(options.html)
        print(f"\nReport: {options.html}")


def _predict(options: argparse.Namespace) -> None:
    import numpy as np

    from skcnn.persistence import load

    pipeline = load(options.model)
    probabilities = pipeline.predict_proba(options.images)
    if options.top < 1:
        raise ValueError(f"--top {options.top}: a positive number is wanted")
    for path, row in zip(options.images, probabilities, strict=True):
        for index in np.argsort(-row, kind="stable")[: options.top]:
            print(f"{path}\t{pipeline.classes_[index]}\t{row[index]:.4f}")


def _extract(options: argparse.Namespace) -> None:
    import pandas as pd

    _check_writable(options.output)
    suffix = Path(options.output).suffix.lower()
    if suffix not in TABLE_WRITERS:
        raise ValueError(f"{options.output}: the ending tells the format; accepted: {', '.join(TABLE_WRITERS)}")
    photos = _load_data(options.data)
    X = photos.frame[["path"]]
    features = _features(options).set_output(transform="pandas").fit_transform(X)
    frame = pd.concat([X, pd.Series(photos.target, index=X.index, name="label"), features], axis=1)
    _write_table(frame, options.output, suffix)
    print(f"{options.output}: {features.shape[0]} pictures, {features.shape[1]} features")


def _write_table(frame: pd.DataFrame, path: str, suffix: str) -> None:
    with tempfile.TemporaryDirectory(prefix=".skcnn-", dir=Path(path).parent) as folder:
        unfinished = str(Path(folder) / f"table{suffix}")
        TABLE_WRITERS[suffix](frame, unfinished)
        os.replace(unfinished, path)


def _backbones(options: argparse.Namespace) -> None:
    from skcnn.backbones import list_backbones

    table = list_backbones()
    table["layers"] = [" ".join(layers) for layers in table["layers"]]
    table["weights"] = [", ".join(weights) for weights in table["weights"]]
    table["image_size"] = [f"{height} x {width}" for height, width in table["image_size"]]
    print(table.to_string(index=False))


def _cache(options: argparse.Namespace) -> None:
    import warnings

    from skcnn.cache import CacheWarning, FeatureCache

    cache = FeatureCache(options.directory)
    if not cache.exists():
        raise FileNotFoundError(f"{options.directory} is not a cache directory of skcnn")
    if options.action == "verify":
        result = cache.verify()
        if result.damage:
            raise OSError(f"the cache {options.directory} is damaged ({result.damage}); remove the directory")
        if result.n_bad:
            raise OSError(f"{result.n_bad:,} bad entries were removed; {result.n_records:,} records are sound")
        print(f"{result.n_records:,} records, all sound")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error", CacheWarning)  # there is nothing to go on with here
        info = cache.info()
    if options.action == "clear":
        cache.clear()
        print(f"Forgot {info.n_records:,} records, {_megabytes(info.n_bytes)}")
    else:
        print(
            f"{info.n_records:,} records, {_megabytes(info.n_bytes)}\n"
            f"{info.passes:,} passes of a picture through a network\n"
            f"{info.hits:,} rows served without"
        )


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"


def _with_progress(pipeline: Pipeline, options: argparse.Namespace) -> Pipeline:
    if "bottleneckfeatures" in getattr(pipeline, "named_steps", {}):
        pipeline.set_params(bottleneckfeatures__verbose=_verbose(options))
    return pipeline


def _listed(names: Sequence[Any], most: int = 8) -> str:
    shown = ", ".join(map(str, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
