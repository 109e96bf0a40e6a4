"""Save and load fitted estimators in one file that can be shared: loading runs no code from it.

The file is a zip archive: ``manifest.json`` (format, versions, a SHA-256 of every other member), ``estimator.skops``
(scikit-learn's parts, by skops), ``networks/*.keras`` and ``weights/*.h5`` (networks and weights that were given as
objects or by path, so that the file is whole by itself; the published ones are named, not copied).
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import zipfile
import zlib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from skcnn import __version__
from skcnn._files import check_regular, replacing
from skcnn._members import packed, unpacked

__all__ = ["ModelFileError", "UntrustedTypesError", "load", "read_manifest", "save"]

FORMAT = 1
# What zipfile raises on damaged archives: RuntimeError where a flag says "encrypted" or names an unknown compression.
_DAMAGE = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError, EOFError, RuntimeError)
_DEPENDENCIES = ("scikit-learn", "skops", "keras", "numpy")

#: Types beside skops's own list that a fitted search over skcnn's estimators holds. Each was read: building one from
#: a file stores attributes and numbers, and calls nothing that the file chooses.
TRUSTED_TYPES = frozenset(
    {
        "skcnn.ensemble.BaggedSGDClassifier",
        "skcnn.feature_extraction.BottleneckFeatures",
        "skcnn.neural_network.CNNClassifier",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.metrics._scorer._Scorer",
        "sklearn.utils._bunch.Bunch",
        *(
            f"sklearn.model_selection._split.{splitter}"
            for splitter in (
                "GroupKFold",
                "GroupShuffleSplit",
                "KFold",
                "LeaveOneGroupOut",
                "LeaveOneOut",
                "RepeatedKFold",
                "RepeatedStratifiedKFold",
                "ShuffleSplit",
                "StratifiedGroupKFold",
                "StratifiedKFold",
                "StratifiedShuffleSplit",
                "TimeSeriesSplit",
            )
        ),
    }
)


def _trusted_types() -> set[str]:
    """Return TRUSTED_TYPES and the metrics behind scikit-learn's named scorers: functions of arrays, no more."""
    from sklearn.metrics import get_scorer, get_scorer_names

    metrics = (get_scorer(name)._score_func for name in get_scorer_names())
    return {*TRUSTED_TYPES, *(f"{metric.__module__}.{metric.__name__}" for metric in metrics)}


class UntrustedTypesError(TypeError):
    """A file holds types that are neither known to be harmless nor named in ``trusted``; ``types`` lists them."""

    def __init__(self, path: str, types: list[str]):
        self.path, self.types = path, types
        super().__init__(
            f"{path} holds types that skcnn does not know to be harmless: {', '.join(types)}. If you know that they "
            f"are, and trust where the file is from: load(path, trusted={types!r})."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.types)


class ModelFileError(ValueError):
    """A file is not one that :func:`save` wrote, or is damaged, or is from a newer format."""


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Save an estimator, fitted or not, in one file.

    Parameters
    ----------
    estimator : estimator
        An estimator of skcnn, or a scikit-learn pipeline, search or ensemble of these.
    path : path-like
        Where to; ``.skcnn`` is the customary ending. Written beside it first and then moved into place, so that there
        is never half a file under this name.

    Raises
    ------
    TypeError
        If part of it cannot be saved without code, such as a callable backbone; the message says what to do instead.

    See Also
    --------
    load : The way back.

    Examples
    --------
    >>> import skcnn, tempfile, os
    >>> from skcnn.feature_extraction import BottleneckFeatures
    >>> path = os.path.join(tempfile.mkdtemp(), "features.skcnn")
    >>> skcnn.save(BottleneckFeatures("ResNet20"), path)
    >>> skcnn.load(path)
    BottleneckFeatures(backbone='ResNet20')
    """
    import skops.io

    members: dict[str, bytes] = {}
    members["estimator.skops"] = skops.io.dumps(packed(estimator, members))
    nameless = [name for name in skops.io.get_untrusted_types(data=members["estimator.skops"]) if "<" in name]
    if nameless:  # lambdas, and what is defined inside functions
        raise TypeError(
            f"{type(estimator).__name__} holds {', '.join(sorted(nameless))}, which cannot be found again without its "
            "code: give a function or class that is defined at the top of a module, by its name."
        )
    manifest = {
        "format": FORMAT,
        "estimator": type(estimator).__name__,
        "python": platform.python_version(),
        "versions": {"skcnn": __version__, **{name: _version(name) for name in _DEPENDENCIES}},
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in members.items()},
    }
    with replacing(path) as unfinished, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest, indent=1))
        for name, content in members.items():
            archive.writestr(name, content)


def load(path: str | os.PathLike[str], *, trusted: Iterable[str] = ()) -> Any:
    """Load an estimator that :func:`save` wrote. No code from the file is run, and pickle is never used.

    Parameters
    ----------
    path : path-like
        The file.
    trusted : iterable of str, default=()
        Full names of further types that may be built, such as ``"mypackage.transformers.Deskew"``: importing and
        building these runs their code, so name only what you know.

    Returns
    -------
    estimator

    Raises
    ------
    UntrustedTypesError
        If the file holds types that are not known to be harmless; the message lists them.
    ModelFileError
        If the file was not written by :func:`save`, is damaged, or comes from a newer version of skcnn.
    FileNotFoundError
        If there is no such file.
    """
    import skops.io

    members = _read_members(Path(path))
    state = members["estimator.skops"]
    allowed = _trusted_types() | set(trusted)
    unknown = sorted(set(skops.io.get_untrusted_types(data=state)) - allowed)
    if unknown:
        raise UntrustedTypesError(os.fspath(path), unknown)
    return unpacked(skops.io.loads(state, trusted=sorted(allowed)), members)


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
    """
    try:
        check_regular(path, "a file that skcnn.save wrote")
    except OSError as error:
        raise ModelFileError(str(error)) from None
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            known = isinstance(manifest["format"], int) and isinstance(manifest["sha256"], dict)
    except FileNotFoundError:
        raise
    except (*_DAMAGE, TypeError) as error:
        raise ModelFileError(f"{os.fspath(path)} is not a file that skcnn.save wrote: {error}") from None
    if not known:
        raise ModelFileError(f"{os.fspath(path)} is not a file that skcnn.save wrote: its manifest is malformed")
    if manifest["format"] > FORMAT:
        raise ModelFileError(
            f"{os.fspath(path)} has format {manifest['format']}, and this skcnn reads formats up to {FORMAT}: install "
            f"skcnn {manifest.get('versions', {}).get('skcnn', 'of a later version')} or later."
        )
    return dict(manifest)


def _read_members(path: Path) -> dict[str, bytes]:
    manifest = read_manifest(path)
    members = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name, digest in manifest["sha256"].items():
                members[name] = archive.read(name)
                if hashlib.sha256(members[name]).hexdigest() != digest:
                    raise ValueError(f"{name} does not match its digest")
        members["estimator.skops"]
    except _DAMAGE as error:
        raise ModelFileError(f"{path} is damaged: {error}") from None
    return members


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
