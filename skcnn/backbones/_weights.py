"""Where the weights of a network come from: files on disk or in memory, and the files that Keras downloads."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from skcnn._files import check_regular, temporary_folder
from skcnn._keras import import_keras, set_weights
from skcnn.backbones._errors import WeightsDownloadError, WrongWeightsError
from skcnn.backbones._published import PublishedFile, models_folder

SUFFIXES = (".weights.h5", ".h5", ".hdf5")

# keras.applications divides EfficientNetB*'s standardised pixels once more, by the square root of these, where it
# loads its own weights, and only there: they were trained so (tensorflow/tensorflow#49930).
_EFFICIENTNET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class WeightsFile:
    """A weights file held in memory, accepted wherever the path of one is.

    Parameters
    ----------
    content : bytes
        What the file holds.
    suffix : {".weights.h5", ".h5", ".hdf5"}
        Its format: the first is that of Keras 3, the others are Keras's legacy one.
    """

    content: bytes = field(repr=False)
    suffix: str

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class UnsavedWeights:
    """Initial weights of a fine-tuned network, which its file does not hold, since it holds the trained ones.

    A loaded estimator has this as ``weights``. It predicts without them; to fit it again, set other ``weights``.

    Parameters
    ----------
    sha256 : str
        SHA-256 of the weights file, in hexadecimal.

    Examples
    --------
    >>> from skcnn.backbones import UnsavedWeights, get_backbone
    >>> get_backbone("ResNet20").build(weights=UnsavedWeights("0c1f"))
    Traceback (most recent call last):
    ...
    ValueError: A saved model that was fine-tuned holds its trained weights, not its initial ones. ...
    """

    sha256: str


@dataclass(frozen=True)
class PartialWeights:
    """Weights of some layers of a network; the others are drawn at random.

    Accepted wherever weights are, as in :meth:`Backbone.build`.

    Parameters
    ----------
    weights : str, path-like, WeightsFile or dict
        Where the weights are from: all that :meth:`Backbone.build` takes.
    layers : tuple of str
        Names of layers, or patterns of names such as ``"conv*"``.

    Examples
    --------
    >>> from skcnn.backbones import PartialWeights, get_backbone
    >>> network = get_backbone("ResNet20").build(weights=PartialWeights("pretrained", ("stem*", "stage1_*")))
    """

    weights: str | os.PathLike[str] | WeightsFile | Mapping[str, Any]
    layers: tuple[str, ...]


def as_weights_file(weights: object) -> WeightsFile | None:
    """Return the file that a ``weights`` parameter refers to.

    Parameters
    ----------
    weights : str, path-like, WeightsFile or None
        Weights of a network: see :meth:`Backbone.build`.

    Returns
    -------
    WeightsFile or None
        None where ``weights`` is a name ("pretrained", "imagenet", ...) or None.

    Raises
    ------
    FileNotFoundError
        If it is a path that does not exist.
    ValueError
        If it is a path, but not that of a weights file.

    Examples
    --------
    >>> from skcnn.backbones import as_weights_file
    >>> as_weights_file("imagenet") is None
    True
    """
    if isinstance(weights, WeightsFile):
        return weights
    path = as_weights_path(weights)
    return None if path is None else WeightsFile(path.read_bytes(), _suffix(path))


def as_weights_path(weights: Any) -> Path | None:
    """Return the path that ``weights`` is, once it is known to be one of a weights file; None if it is a name."""
    if not isinstance(weights, os.PathLike) and not (isinstance(weights, str) and _suffix(weights)):
        return None
    path = Path(weights).expanduser()
    check_regular(path, "a weights file")
    if not path.is_file():
        raise FileNotFoundError(f"There is no weights file {str(path)!r} (current folder: {Path.cwd()}).")
    if not _suffix(path):
        raise ValueError(
            f"{str(path)!r} is not the name of a weights file: accepted are {', '.join(SUFFIXES)}, as Keras writes "
            "them. A whole model (.keras) is given as the backbone."
        )
    return path


def _suffix(path: str | Path) -> str:
    return next((suffix for suffix in SUFFIXES if str(path).endswith(suffix)), "")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, which is not computed again while the file stays unchanged."""
    status = path.stat()
    return _file_sha256(str(path.resolve()), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=32)
def _file_sha256(path: str, size: int, mtime_ns: int) -> str:
    return _digest(Path(path), "sha256")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


@contextmanager
def weights_path(source: Path | WeightsFile) -> Iterator[Path]:
    """Give the path of a weights file; one that is in memory has a path inside the block only."""
    if isinstance(source, Path):
        yield source
        return
    with temporary_folder(tempfile.gettempdir(), "skcnn-weights-") as folder:
        path = folder / f"{source.sha256}{source.suffix}"
        path.write_bytes(source.content)
        yield path


def load_weights(
    model: Any, path: Path, name: str, build_with_top: Callable[[int], Any] | None, published: PublishedFile | None
) -> None:
    """Load a weights file into a network.

    Parameters
    ----------
    model : keras.Model
        The network.
    path : Path
        A file in either of Keras's formats. For a network without a classifier it may have one.
    name : str
        The network's name, for messages.
    build_with_top : callable or None
        From a number of classes to the same network with a classifier; None if the network has one.
    published : PublishedFile or None
        The file that Keras publishes for this network, for messages.

    Raises
    ------
    WrongWeightsError
        If the file holds something else. Keras's warnings, one per layer, are not shown then.
    """
    import h5py

    url, has_classifier = published and published.url, build_with_top is None
    if not h5py.is_hdf5(path):
        raise WrongWeightsError(path, name, "it is not an HDF5 file of Keras. Is it damaged?", url, has_classifier)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            _load_weights(model, path, build_with_top)
        except Exception as error:
            # What follows are the numbers of the first layer, and the names of all others.
            text = re.split("Target variable|List of objects", str(error))[0]
            reason = f"Keras reports: {textwrap.shorten(text, 400)}"
            raise WrongWeightsError(path, name, reason, url, has_classifier) from error
    for warning in caught:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _load_weights(model: Any, path: Path, build_with_top: Callable[[int], Any] | None) -> None:
    try:
        model.load_weights(path)
    except Exception:
        # Keras 3's own format finds layers by place and passes over a classifier; the legacy one wants them all.
        if build_with_top is None or (n_classes := _legacy_n_classes(path)) is None:
            raise
        whole = build_with_top(n_classes)
        whole.load_weights(path)
        set_weights(model, whole.get_weights()[: len(model.weights)])


def _legacy_n_classes(path: Path) -> int | None:
    """Return the length of the last array of a legacy file (the number of classes if it has a classifier), or None."""
    import h5py

    with h5py.File(path) as file:
        group = file.get("model_weights", file)
        # Keras spreads attributes beyond 64 KiB over layer_names0, layer_names1, ...
        keys = sorted((key for key in group.attrs if key.startswith("layer_names")), key=lambda key: (len(key), key))
        for layer in reversed([os.fsdecode(name) for key in keys for name in group.attrs[key]]):
            names = group[layer].attrs.get("weight_names", ())
            if len(names) and (shape := group[layer][os.fsdecode(names[-1])].shape):
                return int(shape[-1])
    return None


def carry_weights(source: Any, model: Any) -> None:
    """Give ``model`` the weights of ``source``, which Keras built with its own weights, maybe at another size."""
    rescaling = import_keras().layers.Rescaling
    set_weights(model, source.get_weights())
    rescalings = [layer for layer in source.layers if isinstance(layer, rescaling)]
    if len(rescalings) > sum(isinstance(layer, rescaling) for layer in model.layers):
        _fold_rescaling(model, rescalings[-1].scale)


def fold_efficientnet_rescaling(model: Any, path: Path, builder: Any) -> None:
    """Do what Keras does to an EfficientNetB*'s input, if this weights file was trained with it.

    Such are the files that Keras publishes, and those saved from a network that had loaded them.
    """
    import h5py

    names: set[str] = set()
    with h5py.File(path) as file:
        file.visit(lambda name: names.add(name.rpartition("/")[2]))
    published = getattr(sys.modules.get(builder.__module__), "WEIGHTS_HASHES", {})
    digests = {digest for pair in published.values() for digest in pair}
    if sum(name.startswith("rescaling") for name in names) > 1 or _digest(path, "md5") in digests:
        _fold_rescaling(model, [std**-0.5 for std in _EFFICIENTNET_STD])


def _fold_rescaling(model: Any, scale: Any) -> None:
    """Make a network's standardisation of pixels multiply by ``scale`` besides."""
    normalization = import_keras().layers.Normalization
    (layer,) = (layer for layer in model.layers if isinstance(layer, normalization))
    mean, variance, count = layer.get_weights()
    layer.set_weights([mean, variance / np.square(scale), count])
    layer.finalize_state()


def reset_other_layers(model: Any, fresh: Any, patterns: Sequence[str], name: str) -> None:
    """Give layers of ``model`` the weights of ``fresh``, the same network, but for those that a pattern names.

    Raises
    ------
    ValueError
        If no layer that has weights is of a pattern.
    """
    names = [layer.name for layer in model.layers if layer.weights]
    for pattern in patterns:
        if not any(fnmatchcase(layer, pattern) for layer in names):
            close = difflib.get_close_matches(pattern, names, n=3)
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise ValueError(
                f"No layer of {name} that has weights is called {pattern!r}; expected names of its layers, such as "
                f"{names[0]!r} and {names[-1]!r}, or patterns of them, such as '{names[0][:4]}*'.{hint}"
            )
    for layer, other in zip(model.layers, fresh.layers, strict=True):
        if not any(fnmatchcase(layer.name, pattern) for pattern in patterns):
            set_weights(layer, other.get_weights())


@contextmanager
def explained_loading(
    backbone_name: str, weights_name: str, file: PublishedFile | None, *, with_classifier: bool = False
) -> Iterator[None]:
    """Turn what Keras raises when it cannot fetch or read published weights into what a person can act on."""
    try:
        yield
    except Exception as error:
        # Keras fetches a file by itself if its own version wants another one, or if the one there is damaged.
        if failed := re.search(r"URL fetch failure on (\S+): (?:None -- )?(.*)", str(error), re.DOTALL):
            wanted = PublishedFile(models_folder() / failed[1].rpartition("/")[2], failed[1])
            if file is not None and file.url == failed[1]:
                wanted = file
            raise WeightsDownloadError({backbone_name: wanted}, failed[2], with_classifier) from error
        if file is None or not isinstance(error, (OSError, ValueError, KeyError)):
            raise
        raise OSError(
            f"The {weights_name!r} weights of {backbone_name} could not be read from {file.path}: {error} If the file "
            "is damaged, delete it; it is downloaded again then."
        ) from error
