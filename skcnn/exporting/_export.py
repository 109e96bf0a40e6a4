"""``skcnn.export``: an estimator in, one file for a runtime out."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from skcnn import __version__
from skcnn._files import replacing
from skcnn._keras import pinned
from skcnn.exporting._bottleneck import bottleneck_features
from skcnn.exporting._formats import WRITERS, parted_onnx, write_onnx, write_openvino_ir
from skcnn.exporting._generator import generation_of
from skcnn.exporting._graph import Prediction, prediction_of
from skcnn.generative import ImageGAN
from skcnn.programs import MEMBERS, Program, ProgramError

#: How far probabilities of the graph may be from those of the estimator, by its precision; numbers relative to the
#: largest. The graph computes in float32.
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.1}


def export(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Export a fitted estimator to one file that a runtime reads, without skcnn, scikit-learn and Keras.

    The file holds one graph, from pixels to probabilities: the scaling of pixels, the network, and what follows it.
    Before it is written, the graph is compared with the estimator. Decoding and resizing stay outside; the file says
    how images are to be resized.

    Parameters
    ----------
    estimator : estimator
        Fitted. A :class:`~skcnn.neural_network.CNNClassifier`, :class:`~skcnn.neural_network.CNNRegressor` or
        :class:`~skcnn.neural_network.ImageNetClassifier`; or a pipeline that begins with
        :class:`~skcnn.feature_extraction.BottleneckFeatures` and ends with a linear model, such as
        :class:`~skcnn.ensemble.BaggedSGDClassifier` or scikit-learn's ``LogisticRegression``. Between them may stand
        scalers, feature selection, ``PCA`` and ``TruncatedSVD``; around them a search, or
        ``CalibratedClassifierCV(method="sigmoid")``. Or a :class:`~skcnn.generative.ImageGAN`, whose generator is
        exported.
    path : path-like
        Where to write it. The suffix says the format: ``.onnx`` (extra ``onnx``), ``.xml`` for OpenVINO (extra
        ``openvino``; the weights lie beside it, in a ``.bin`` file) or ``.tflite`` for LiteRT (needs TensorFlow).

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If a part of it has no graph; the message names it, and what can be exported.
    ValueError
        If the suffix is none of these, or the graph does not give what the estimator predicts.
    ImportError
        If a package that the format needs is not installed; the message names the extra.
    OSError
        If the file cannot be written.

    See Also
    --------
    skcnn.save : A file that :func:`skcnn.load` reads, with all of the estimator.

    Notes
    -----
    The graph takes ``pixels``, uint8 (n, height, width, 3), RGB, for any n, and gives ``probabilities`` (n, n_classes)
    or ``numbers`` (n, n_targets), float32. Of images that are not of that size, Pillow's bilinear filter makes the
    right ones: see :func:`skcnn.images.resize_image` for the three rules.

    That of a :class:`~skcnn.generative.ImageGAN` takes ``codes``, float32 (n, n_components), of the standard normal
    distribution, followed by an indicator per class if it is conditional; and gives ``images``, float32 (n, height,
    width, n_channels) in [0, 255].

    What is to be known beside the graph: ``classes``, ``image_size``, ``resize``, ``estimator`` and ``skcnn``, the
    version. ONNX has it in ``metadata_props``, OpenVINO in ``rt_info`` under ``skcnn``, both as JSON; a ``.tflite``
    file is also a zip archive with ``skcnn.json`` and ``labels.txt``.

    Examples
    --------
    >>> import skcnn, tempfile, os
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.feature_extraction import BottleneckFeatures
    >>> X, y = load_digit_images(return_X_y=True)
    >>> model = make_pipeline(BottleneckFeatures("ResNet20"), LogisticRegression(max_iter=1000))
    >>> skcnn.export(model.fit(X[:100], y[:100]), os.path.join(tempfile.mkdtemp(), "digits.xml"))
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise ValueError(f"path={str(path)!r} has the suffix {path.suffix!r}; expected {', '.join(WRITERS)}.")
    if isinstance(estimator, ImageGAN):
        model, about = generation_of(estimator)
    else:
        prediction = prediction_of(estimator)
        with pinned():
            _check(estimator, prediction, prediction.model.predict_on_batch)
        model, about = prediction.model, _about(estimator, prediction)
    with tempfile.TemporaryDirectory() as folder, pinned():
        written = Path(folder, path.name)
        WRITERS[path.suffix](model, written, about)
        # The file that bears the name last: whoever finds it finds the weights beside it.
        for file in sorted(Path(folder).iterdir(), key=lambda file: file == written):
            with replacing(path.with_name(file.name)) as unfinished:
                unfinished.write_bytes(file.read_bytes())


def make_program(estimator: Any) -> dict[str, bytes]:
    """Return the program of a fitted estimator, as members of a saved file: see :class:`skcnn.programs.Program`.

    Parameters
    ----------
    estimator : estimator
        What :func:`export` takes. With the attribute ``training_features_``, which :func:`skcnn.save` gives it, the
        program also measures how far images lie from the training set.

    Returns
    -------
    dict of str to bytes

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If a part of it has no graph, or operators that no program has; if its labels are neither text, numbers nor
        booleans, or an image can have several.
    ValueError
        If the graph does not give what the estimator predicts.
    ImportError
        If neither OpenVINO nor what makes a program for ONNX Runtime is installed; the message names the extras.
    """
    prediction = prediction_of(estimator)
    if getattr(estimator, "multilabel_", False):
        raise TypeError(
            f"{type(estimator).__name__} predicts several classes per image, and a program predicts one. skcnn.export "
            "writes its probabilities."
        )
    try:
        members, program = _program_of(estimator, prediction)
    except ProgramError as error:
        # OpenVINO does not compile a few small graphs with features beside the outputs, such as two calibrated classes.
        if prediction.feature_shapes is None:
            raise _no_program(estimator, error) from error
        prediction = prediction._replace(feature_shapes=None)
        try:
            members, program = _program_of(estimator, prediction)
        except ProgramError as other:
            raise _no_program(estimator, other) from other
    _check(estimator, prediction, program.predict if prediction.classes is None else program.predict_proba)
    if prediction.feature_shapes is not None:
        _check_features(estimator, prediction, program)
    return members


def _program_of(estimator: Any, prediction: Prediction) -> tuple[dict[str, bytes], Program]:
    """Return the members of a program, and the program; raise ProgramError if they are none that runs here."""
    about, training_features = _about(estimator, prediction), getattr(estimator, "training_features_", None)
    if training_features is not None:
        about["training_distances"] = training_features.quantiles.tolist()
    if prediction.feature_shapes is not None:
        about["features"] = prediction.feature_shapes
    model, runtime = prediction.with_more(training_features).model, program_runtime()
    with tempfile.TemporaryDirectory() as folder, pinned():
        if runtime == "openvino":
            write_openvino_ir(model, Path(folder, "network.xml"), {})
            contents = [Path(folder, name).read_bytes() for name in ("network.xml", "network.bin")]
        else:
            write_onnx(model, Path(folder, "network.onnx"), {})
            contents = parted_onnx(Path(folder, "network.onnx"))
    members = dict(zip(MEMBERS[runtime], [json.dumps(about).encode(), *contents], strict=True))
    return members, Program(members)


def _no_program(estimator: Any, error: ProgramError) -> TypeError:
    name = type(estimator).__name__
    return TypeError(f"{name} has no program for {program_runtime()}: {error}. Save it without, or skcnn.export it.")


def program_runtime() -> str:
    """Return what a program is made for on this machine: OpenVINO, or else ONNX Runtime.

    Returns
    -------
    {"openvino", "onnxruntime"}

    Raises
    ------
    ImportError
        If neither OpenVINO nor what makes a program for ONNX Runtime is installed; the message names the extras.
    """
    if find_spec("openvino") is not None:
        return "openvino"
    if missing := [package for package in ("onnx", "tf2onnx", "onnxruntime") if find_spec(package) is None]:
        raise ImportError(
            "A program needs OpenVINO, `pip install 'skcnn[openvino]'`, or ONNX Runtime, `pip install 'skcnn[onnx]'`: "
            f"there is neither openvino nor {' and '.join(missing)}."
        )
    return "onnxruntime"


def _about(estimator: Any, prediction: Prediction) -> dict[str, Any]:
    """Return what is to be known beside the graph."""
    return {
        "classes": None if prediction.classes is None else prediction.classes.tolist(),
        "image_size": list(prediction.image_size),
        "resize": prediction.resize,
        "estimator": type(estimator).__name__,
        "skcnn": __version__,
    }


def _check(estimator: Any, prediction: Prediction, run: Callable[[np.ndarray], Any]) -> None:
    """See that the graph gives what the estimator gives, on images of noise."""
    pixels = _noise(prediction)
    images = _as_input(estimator, pixels)
    method = estimator.predict_proba if prediction.output == "probabilities" else estimator.predict
    expected = np.asarray(method(images), np.float64).reshape(len(pixels), -1)
    found = np.asarray(run(pixels), np.float64).reshape(len(pixels), -1)
    difference = np.abs(found - expected).max() / max(1.0, np.abs(expected).max())
    in_bfloat16 = any(
        name.endswith("precision") and value == "bfloat16" for name, value in estimator.get_params().items()
    )
    if not difference <= TOLERANCES["bfloat16" if in_bfloat16 else "float32"]:
        raise ValueError(
            f"The graph of {type(estimator).__name__} does not give what it predicts: they differ by {difference:.2g}. "
            "This is a bug in skcnn: please report it with the steps of the estimator."
        )


def _check_features(estimator: Any, prediction: Prediction, program: Program) -> None:
    """See that a program gives the features that the estimator's network gives, on images of noise."""
    pixels = _noise(prediction)
    expected, found = bottleneck_features(estimator, pixels), program.engine("features").run(pixels)
    difference = np.abs(found - expected).max() / (np.abs(expected).max() or 1.0)
    if not difference <= TOLERANCES["float32"]:
        raise ValueError(
            f"The program of {type(estimator).__name__} does not give the features of its network: they differ by "
            f"{difference:.2g}. This is a bug in skcnn: please report it with the steps of the estimator."
        )


def _noise(prediction: Prediction) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, *prediction.image_size, 3), np.uint8)


def _as_input(estimator: Any, pixels: np.ndarray) -> Any:
    """Return images in the form that an estimator was fitted on: a frame where it knows a column's name."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return pixels
    import pandas as pd

    return pd.DataFrame({name: pd.Series(list(pixels), dtype=object) for name in names})
