"""``save`` and ``load``: an estimator in one file, written whole, from which no code is run."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from skcnn import __version__
from skcnn._archives import SLACK
from skcnn._files import replacing
from skcnn._members import packed, unpacked
from skcnn.persistence._audit import Audit
from skcnn.persistence._checks import HazardError, checked
from skcnn.persistence._distributions import rebuilt, stored
from skcnn.persistence._errors import UntrustedTypesError
from skcnn.persistence._kept_programs import has_kept_programs, keep_program, kept_program
from skcnn.persistence._members import (
    FORMAT,
    MANIFEST,
    MAX_MEMBERS,
    PROGRAM,
    STATE,
    blamed,
    manifest_of,
    opened,
    read_members,
)
from skcnn.persistence._places import without_places
from skcnn.persistence._run_by_program import run_by_program

if TYPE_CHECKING:
    from skcnn.images import ImageDigests
    from skcnn.metrics import TrainingFeatures
    from skcnn.programs import Program

_DEPENDENCIES = ("scikit-learn", "skops", "keras", "numpy")
_JOBLIB = "For a file of your own that nobody else loads: joblib.dump(estimator, path)."


def save(
    estimator: Any,
    path: str | os.PathLike[str],
    *,
    training_images: Sequence[Any] | ImageDigests | None = None,
    training_features: Sequence[Any] | TrainingFeatures | None = None,
    program: bool = False,
) -> None:
    """Save an estimator, fitted or not, in one file.

    Locations on this machine are not saved: ``cache`` becomes ``"memory"``, and ``checkpoint``, ``root``,
    ``store`` and scikit-learn's ``memory`` become None, wherever in the estimator they are.

    Parameters
    ----------
    estimator : estimator
        An estimator of skcnn, or a scikit-learn pipeline, search or ensemble of these.
    path : path-like
        Where to save it; the usual suffix is ``.skcnn``. The file is written under a temporary name and then moved into
        place, so that it is always complete.
    training_images : array-like of images, ImageDigests or None, default=None
        What the estimator was trained on, in any form that :func:`skcnn.images.as_images` takes. Their truncated
        digests are stored, no paths and no pixels. :func:`load` returns them as ``estimator.training_images_``, and a
        :class:`~skcnn.report.ClassifierReport` then says how many of its images the model was trained on. Anyone who
        has the file and an image can test whether it was among them; None, the default, leaves the digests out.
    training_features : array-like of images, TrainingFeatures or None, default=None
        The images, at least 20, from which it is to be known how far new ones lie: what the estimator was trained on;
        for a network that was fine-tuned, images that were held out, since it knows the others better than any new
        image. Means and scales of their features are stored, and quantiles of distances, no image. :func:`load` returns
        them as ``estimator.training_features_``, a :class:`~skcnn.metrics.TrainingFeatures`; ``skcnn evaluate`` and
        ``skcnn serve`` then report distances.
    program : bool, default=False
        Whether to store the program of a fitted estimator as well: its network and head as one graph, which
        :func:`load_program` and ``skcnn predict`` run without scikit-learn and Keras, in a fraction of the time, and by
        which the estimator that :func:`load` returns predicts without Keras. It is made for OpenVINO where that is
        installed, else for ONNX Runtime, and only the same runtime runs it. It needs a model that :func:`skcnn.export`
        can export, and as much room as the network's weights (9 MB for MobileNetV2); hence not the default.

    Warns
    -----
    UserWarning
        If it holds types that :func:`load` builds only where they are named in ``trusted``, such as a transformer of
        your own.

    Raises
    ------
    TypeError
        If part of it cannot be saved without code, such as a callable backbone, or is of a type that :func:`load` never
        builds, such as a decision tree; the message says what to do instead. If ``training_features`` are given, and it
        has no features of images.
    ValueError
        If it is larger than :func:`load` reads, or ``training_features`` are fewer than 20 images.
    BadImageError
        If rows of ``training_features`` give no image.
    ImportError
        If ``program=True``, and neither OpenVINO (extra ``openvino``) nor what makes a program for ONNX Runtime (extra
        ``onnx``) is installed.
    OSError
        If the file cannot be written.

    See Also
    --------
    load : Load the file.

    Examples
    --------
    >>> import skcnn, tempfile, os
    >>> from skcnn.feature_extraction import BottleneckFeatures
    >>> path = os.path.join(tempfile.mkdtemp(), "features.skcnn")
    >>> skcnn.save(BottleneckFeatures("ResNet20"), path)
    >>> skcnn.load(path)
    BottleneckFeatures(backbone='ResNet20')
    """
    members: dict[str, bytes] = {}
    name = type(estimator).__name__
    estimator = _with_training_images(estimator, training_images)
    estimator = _with_training_features(estimator, training_features)
    members[STATE] = _state_of(estimator, members)
    if program:
        from skcnn.exporting import make_program

        members |= make_program(estimator)
    manifest = {
        "format": FORMAT,
        "estimator": name,
        "python": platform.python_version(),
        "versions": {"skcnn": __version__, **{name: _version(name) for name in _DEPENDENCIES}},
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in members.items()},
    }
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"It holds {len(members):,} networks and weight files; expected at most {MAX_MEMBERS:,}.")
    # What is large is weights, which hardly shrink; and what load reads has a bounded ratio.
    n_bytes = sum(map(len, members.values()))
    compression = zipfile.ZIP_DEFLATED if n_bytes <= SLACK else zipfile.ZIP_STORED
    with replacing(path) as unfinished, zipfile.ZipFile(unfinished, "w", compression) as archive:
        archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
        for name, content in members.items():
            archive.writestr(name, content)


def _with_training_images(estimator: Any, training_images: Sequence[Any] | ImageDigests | None) -> Any:
    """Return a copy of an estimator that knows the images it was trained on, or none if these are None."""
    if training_images is None and not hasattr(estimator, "training_images_"):
        return estimator
    from skcnn.images import ImageDigests

    changed = copy.copy(estimator)
    vars(changed).pop("training_images_", None)
    if training_images is not None:
        known = isinstance(training_images, ImageDigests)
        changed.training_images_ = training_images if known else ImageDigests.of(training_images)
    return changed


def _with_training_features(estimator: Any, training_features: Sequence[Any] | TrainingFeatures | None) -> Any:
    """Return a copy of an estimator that knows the features of its training set, or none if these are None."""
    if training_features is None and not hasattr(estimator, "training_features_"):
        return estimator
    from skcnn.metrics import TrainingFeatures

    changed = copy.copy(estimator)
    vars(changed).pop("training_features_", None)
    if isinstance(training_features, TrainingFeatures):
        changed.training_features_ = training_features
    elif training_features is not None:
        from skcnn.exporting import bottleneck_features

        changed.training_features_ = TrainingFeatures.of(bottleneck_features(estimator, training_features))
    return changed


def _state_of(estimator: Any, members: dict[str, bytes]) -> bytes:
    """Return what skops writes of an estimator, once it is known to be what load reads."""
    import skops.io
    from skops.io.exceptions import UnsupportedTypeException

    name = type(estimator).__name__
    try:
        state = skops.io.dumps(packed(estimator, members, lambda value: without_places(stored(checked(value)))))
        audit = Audit(state)
    except RecursionError:
        raise TypeError(f"{name} cannot be saved: it holds itself, or is nested too deep.") from None
    except UnsupportedTypeException as error:
        raise TypeError(f"{name} cannot be saved: {error} {_JOBLIB}") from None
    except HazardError as error:
        raise TypeError(f"{name} cannot be saved, as load would refuse it: {error}. {_JOBLIB}") from None
    # Lambdas, and what is defined inside functions.
    if nameless := [other for other in audit.unknown if "<" in other]:
        raise TypeError(
            f"{name} holds {', '.join(nameless)}, which cannot be saved without its "
            "code: use a function or class that is defined at the top level of a module."
        )
    if audit.denied:
        raise TypeError(f"{name} cannot be saved: it holds {_listed(audit.denied)}. {_JOBLIB}")
    if audit.unknown:
        warnings.warn(
            f"{name} holds types that skcnn does not know to be harmless: to load the file, name them with "
            f"skcnn.load(path, trusted={audit.unknown!r}).",
            UserWarning,
            stacklevel=3,
        )
    return state


def load(path: str | os.PathLike[str], *, trusted: Iterable[str] = (), program: bool = True) -> Any:
    """Load an estimator that :func:`save` wrote. No code from the file is run, and pickle is never used.

    What a file declares is checked before it is read: its members hold at most 64 MiB and 20 times its own size, its
    networks ask for no more weights than it has, and types whose forged arrays can end the process (trees, kernel SVMs)
    are refused. Settings that a file may not choose are reset, as by :func:`save`: locations on this machine
    (``cache``, ``checkpoint``, ``root``, ``store``, ``memory``).

    Parameters
    ----------
    path : path-like
        The file.
    trusted : iterable of str, default=()
        Full names of further types that may be built, such as ``"mypackage.transformers.Deskew"``: importing and
        building these runs their code, so name only what you know.
    program : bool, default=True
        Whether the program of the file, if it has one, runs the network of the estimator, so that predicting imports no
        Keras. It was compared with the estimator when it was saved: features and probabilities agree to 1e-4. It is
        no longer used once the estimator is fitted again or a parameter of the network is changed. False: Keras
        runs the network, as it does without a program.

    Returns
    -------
    estimator
        With the attributes ``training_images_``, an :class:`~skcnn.images.ImageDigests`, and ``training_features_``, a
        :class:`~skcnn.metrics.TrainingFeatures`, if they were saved with it.

    Raises
    ------
    UntrustedTypesError
        If the file holds types that are not known to be harmless; the message lists them. It is a ModelFileError, too.
    ModelFileError
        If the file was not written by :func:`save`, is damaged or forged, or comes from a newer version of skcnn. The
        original exception is its ``__cause__``.
    FileNotFoundError
        If there is no such file.
    OSError
        If it cannot be read, or there is no room for temporary files.
    TypeError
        If ``trusted`` is a str.

    Warns
    -----
    UserWarning
        When the estimator predicts, if its program cannot run: it is damaged, or what runs it is not installed. Keras
        then runs the network.
    """
    import skops.io

    if isinstance(trusted, str):
        raise TypeError(f"trusted={trusted!r}; expected a list of names")
    with opened(path) as file:
        manifest = manifest_of(path, file)
        with blamed(path, "is damaged"):
            members = read_members(file, manifest)
            names = [name for name in PROGRAM if name in manifest["sha256"]] if program else []
            program_members = read_members(file, manifest, names)
        with blamed(path, "is damaged or forged"):
            audit = Audit(members[STATE], trusted)
            if audit.denied:
                raise ValueError(f"it holds {_listed(audit.denied)}. skcnn neither saves nor loads these")
            if audit.unknown:
                raise UntrustedTypesError(os.fspath(path), audit.unknown)
            state = skops.io.loads(members[STATE], trusted=audit.allowed)
            estimator = unpacked(state, members, lambda value: without_places(rebuilt(checked(value))))
    if program_members:
        run_by_program(estimator, program_members)
    return estimator


def load_program(path: str | os.PathLike[str], *, make: bool = False) -> Program | None:
    """Load the program of a saved file. Nothing else of the file is read.

    Parameters
    ----------
    path : path-like
        The file.
    make : bool, default=False
        Whether to make the program of a file that :func:`save` wrote without one. That takes the whole estimator and
        Keras, several seconds once: the program is kept in the user's cache folder, where this function and
        ``skcnn predict`` find it as long as the file stays as it is.

    Returns
    -------
    Program or None
        It predicts without scikit-learn and Keras. None if the file has no program, and none was made.

    Raises
    ------
    ModelFileError
        If the file was not written by :func:`save`, is damaged or forged, or comes from a newer version of skcnn.
    ImportError
        If the runtime that the program is made for is not installed; the message names the extra.
    TypeError
        If ``make=True``, and a part of the estimator has no graph: see :func:`skcnn.export`.
    ValueError
        If ``make=True``, and the graph does not give what the estimator predicts.
    FileNotFoundError
        If there is no such file.
    OSError
        If it cannot be read.

    See Also
    --------
    load : Load the estimator.
    """
    with opened(path) as file:
        manifest = manifest_of(path, file)
        if set(PROGRAM) & set(manifest["sha256"]):
            from skcnn.programs import Program

            with blamed(path, "is damaged"):
                members = read_members(file, manifest, [name for name in PROGRAM if name in manifest["sha256"]])
            with blamed(path, "has a program that is damaged or forged"):
                return Program(members)
    if not make and not has_kept_programs():
        return None
    program = kept_program(manifest)
    if program is None and make:
        from skcnn.exporting import make_program
        from skcnn.programs import Program

        members = make_program(load(path, program=False))
        keep_program(manifest, members)
        program = Program(members)
    return program


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a saved file says of itself: format, estimator, versions and digests. Nothing is built.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    dict

    Raises
    ------
    ModelFileError
        If the file was not written by :func:`save`, or comes from a newer version of skcnn.
    FileNotFoundError
        If there is no such file.
    OSError
        If it cannot be read.
    """
    with opened(path) as file:
        return manifest_of(path, file)


def _listed(denied: dict[str, str]) -> str:
    return "; ".join(f"{name} ({reason})" for name, reason in denied.items())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
