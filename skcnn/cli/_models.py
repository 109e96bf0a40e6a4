"""What ``skcnn fit`` trains: features and a head, a search over these, a fine-tuned network, detector or segmenter."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from skcnn.cli._common import features_from, verbose, weights_from

if TYPE_CHECKING:
    from sklearn.utils import Bunch

#: Backbones of `skcnn fit --search` where none is named: small downloads (14 and 29 MB), good features.
SEARCHED = ("MobileNetV2", "EfficientNetB0")

#: Factors of the penalty that a search tries.
_PENALTIES = (0.1, 1.0, 10.0)


def classifier_from(options: argparse.Namespace) -> Any:
    """Return the classifier that the options describe, not fitted."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skcnn.ensemble import BaggedSGDClassifier

    if options.fine_tune:
        return _fine_tuned(options)
    features = features_from(options, options.backbone[0])
    if options.head == "logistic":
        return make_pipeline(
            features,
            StandardScaler(),
            LogisticRegression(max_iter=1000, class_weight=options.class_weight, random_state=options.seed),
        )
    alpha = "auto" if options.alpha is None else options.alpha
    return make_pipeline(
        features,
        BaggedSGDClassifier(alpha=alpha, class_weight=options.class_weight, random_state=options.seed),
    )


def _fine_tuned(options: argparse.Namespace) -> Any:
    from skcnn.neural_network import CNNClassifier

    given = {"unfreeze": options.unfreeze, "epochs": options.epochs, "learning_rate": options.learning_rate}
    given |= {"batch_size": options.batch_size}
    classifier = CNNClassifier(
        options.backbone[0],
        weights=weights_from(options),
        image_size=options.image_size,
        resize=options.resize,
        pooling=None if options.pooling == "none" else options.pooling,
        class_weight=options.class_weight,
        augmentation=options.augmentation,
        early_stopping=options.early_stopping,
        precision=options.precision,
        cache=options.cache,
        checkpoint=options.checkpoint,
        random_state=options.seed,
        verbose=verbose(options),
    )
    if given["unfreeze"] == "none":
        classifier.set_params(unfreeze=None)
        del given["unfreeze"]
    # What is not given keeps the default of the class.
    return classifier.set_params(**{name: value for name, value in given.items() if value is not None})


def detector_from(options: argparse.Namespace) -> Any:
    """Return the detector that the options describe, not fitted."""
    from skcnn.detection import CNNDetector

    return _with_options_of_maps(CNNDetector(options.backbone[0]), options)


def segmenter_from(options: argparse.Namespace, dataset: Bunch) -> Any:
    """Return the segmenter that the options describe, not fitted, for masks that :func:`load_masks` returned."""
    from skcnn.segmentation import CNNSegmenter

    segmenter = CNNSegmenter(
        options.backbone[0],
        n_classes=None if dataset.class_names is None else len(dataset.class_names),
        colors=dataset.colors,
        class_weight=options.class_weight,
    )
    if options.flips is not None:
        segmenter.set_params(flips=None if options.flips == "none" else options.flips)
    given = {"architecture": options.architecture, "loss": options.loss}
    segmenter.set_params(**{name: value for name, value in given.items() if value is not None})
    return _with_options_of_maps(segmenter, options)


def _with_options_of_maps(estimator: Any, options: argparse.Namespace) -> Any:
    """Set the parameters that all heads on feature maps have; what is not given keeps the default of the class."""
    estimator.set_params(
        weights=weights_from(options),
        image_size=options.image_size,
        resize=options.resize,
        epochs=(5 if options.epochs is None else options.epochs) if options.fine_tune else 0,
        augmentation=options.augmentation,
        early_stopping=options.early_stopping,
        cache=options.cache,
        checkpoint=options.checkpoint,
        random_state=options.seed,
        verbose=verbose(options),
    )
    given = {"head_epochs": options.head_epochs, "batch_size": options.batch_size}
    given |= {"unfreeze": None if options.unfreeze == "none" else options.unfreeze}
    given |= {"learning_rate": options.learning_rate}
    return estimator.set_params(**{name: value for name, value in given.items() if value is not None})


def search_from(options: argparse.Namespace, n_samples: int) -> Any:
    """Return a search over backbones, their last layers and the penalty, by log-loss."""
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    from skcnn.backbones import fetch_weights, get_backbone

    fetch_weights(options.backbone, weights_from(options))  # not first when it is a backbone's turn
    pipeline = classifier_from(options)
    if options.head == "logistic":
        penalties = {"logisticregression__C": [1 / factor for factor in _PENALTIES]}
    else:
        penalties = {"baggedsgdclassifier__alpha": [factor / n_samples for factor in _PENALTIES]}
    grid = []
    for backbone in options.backbone:
        layers = [layer.name for layer in get_backbone(backbone).layers][-2:]
        features = {"backbone": [backbone], "layers": [[layer] for layer in reversed(layers)]}
        grid.append({**{f"bottleneckfeatures__{name}": values for name, values in features.items()}, **penalties})
    folds = StratifiedKFold(3, shuffle=True, random_state=options.seed)
    return GridSearchCV(pipeline, grid, scoring="neg_log_loss", cv=folds, error_score="raise")


def search_table(search: Any) -> str:
    """Return the candidates of a search as lines, best first."""
    import pandas as pd

    results = pd.DataFrame(search.cv_results_).sort_values("rank_test_score", kind="stable")
    penalty = next(name for name in results if name.endswith(("alpha", "__C")))
    table = pd.DataFrame(
        {
            "backbone": results["param_bottleneckfeatures__backbone"],
            "layer": [" ".join(layers) for layers in results["param_bottleneckfeatures__layers"]],
            penalty.rpartition("__")[2]: [f"{value:.2g}" for value in results[penalty]],
            "log-loss": [f"{-value:.4f}" for value in results["mean_test_score"]],
            "std": [f"{value:.4f}" for value in results["std_test_score"]],
        }
    )
    return f"The search (mean of {search.n_splits_} folds, best first):\n{table.to_string(index=False)}"
