"""The file: members and a manifest of their digests, written whole and read within bounds."""

from __future__ import annotations

import contextlib
import copy
import errno
import hashlib
import json
import os
import platform
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import IO, TYPE_CHECKING, Any

from skcnn import __version__
from skcnn._archives import DAMAGE, SLACK, open_archive, read_member
from skcnn._files import check_regular, replacing
from skcnn._members import packed, unpacked
from skcnn.persistence._audit import Audit
from skcnn.persistence._checks import HazardError, checked
from skcnn.persistence._distributions import rebuilt, stored
from skcnn.persistence._errors import ModelFileError, UntrustedTypesError
from skcnn.persistence._kept_programs import has_kept_programs, keep_program, kept_program
from skcnn.persistence._places import without_places

if TYPE_CHECKING:
    from skcnn.images import ImageDigests
    from skcnn.metrics import TrainingFeatures
    from skcnn.programs import Program

FORMAT = 1

_STATE = "estimator.skops"
_MANIFEST = "manifest.json"
#: What :class:`skcnn.programs.Program` reads.
PROGRAM = ("program/about.json", "program/network.xml", "program/network.bin")
_MAX_MANIFEST = 64 * 2**10
_MAX_MEMBERS = 256
#: Where members lie beside the state and the manifest, and how their names end.
_ENDINGS = {"networks": (".keras",), "weights": (".weights.h5", ".h5", ".hdf5")}
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
        :func:`load_program` and ``skcnn predict`` run without scikit-learn and Keras, in a fraction of the time. It
        needs OpenVINO, a model that :func:`skcnn.export` can export, and as much room as the network's weights (9 MB
        for MobileNetV2); hence not the default.

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
        If ``program=True`` and OpenVINO is not installed.
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
    members[_STATE] = _state_of(estimator, members)
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
    if len(members) > _MAX_MEMBERS:
        raise ValueError(f"It holds {len(members):,} networks and weight files; expected at most {_MAX_MEMBERS:,}.")
    # What is large is weights, which hardly shrink; and what load reads has a bounded ratio.
    n_bytes = sum(map(len, members.values()))
    compression = zipfile.ZIP_DEFLATED if n_bytes <= SLACK else zipfile.ZIP_STORED
    with replacing(path) as unfinished, zipfile.ZipFile(unfinished, "w", compression) as archive:
        archive.writestr(_MANIFEST, json.dumps(manifest, indent=1))
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


def load(path: str | os.PathLike[str], *, trusted: Iterable[str] = ()) -> Any:
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
    """
    import skops.io

    if isinstance(trusted, str):
        raise TypeError(f"trusted={trusted!r}; expected a list of names")
    with _opened(path) as file:
        manifest = _manifest_of(path, file)
        with _blamed(path, "is damaged"):
            members = _read_members(file, manifest)
        with _blamed(path, "is damaged or forged"):
            audit = Audit(members[_STATE], trusted)
            if audit.denied:
                raise ValueError(f"it holds {_listed(audit.denied)}. skcnn neither saves nor loads these")
            if audit.unknown:
                raise UntrustedTypesError(os.fspath(path), audit.unknown)
            state = skops.io.loads(members[_STATE], trusted=audit.allowed)
            return unpacked(state, members, lambda value: without_places(rebuilt(checked(value))))


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
        If OpenVINO is not installed.
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
    with _opened(path) as file:
        manifest = _manifest_of(path, file)
        if set(PROGRAM) & set(manifest["sha256"]):
            from skcnn.programs import Program

            with _blamed(path, "is damaged"):
                members = _read_members(file, manifest, PROGRAM)
            with _blamed(path, "has a program that is damaged or forged"):
                return Program(members)
    if not make and not has_kept_programs():
        return None
    program = kept_program(manifest)
    if program is None and make:
        from skcnn.exporting import make_program
        from skcnn.programs import Program

        members = make_program(load(path))
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
    with _opened(path) as file:
        return _manifest_of(path, file)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    try:
        check_regular(path, "a file that skcnn.save wrote")
    except OSError as error:
        raise ModelFileError(str(error)) from None
    if os.path.isdir(path):
        raise ModelFileError(f"{os.fspath(path)} is a folder; expected a file that skcnn.save wrote")
    with open(path, "rb") as file:
        yield file


#: No room for temporary files, too many open files, no memory: a whole file is not to blame for these.
_OF_THE_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@contextmanager
def _blamed(path: str | os.PathLike[str], verdict: str) -> Iterator[None]:
    """Say of whatever is raised that the file is to blame for it."""
    try:
        yield
    except (ModelFileError, ImportError, Warning):  # the environment's, and those that the user turned into errors
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            raise
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error) or type(error).__name__
        raise ModelFileError(f"{os.fspath(path)} {verdict}: {reason}") from error


def _manifest_of(path: str | os.PathLike[str], file: IO[bytes]) -> dict[str, Any]:
    with _blamed(path, f"is not a file that skcnn.save wrote{_hint(file)}"):
        with open_archive(file, max_members=_MAX_MEMBERS + 1) as archive:
            manifest = json.loads(read_member(archive, _MANIFEST, _MAX_MANIFEST))
        file_format = manifest["format"]
        if type(file_format) is not int or file_format < 1:
            raise ValueError(f"its manifest is malformed: it has format {file_format!r}")
        digests = manifest["sha256"]
        if not isinstance(digests, dict) or not all(isinstance(digest, str) for digest in digests.values()):
            raise ValueError("its manifest is malformed: it has no digests")
    if file_format > FORMAT:
        versions = manifest.get("versions")
        needed = versions.get("skcnn") if isinstance(versions, dict) else None
        raise ModelFileError(
            f"{os.fspath(path)} has format {file_format}, and this skcnn reads formats up to {FORMAT}: install "
            f"skcnn {needed or 'of a later version'} or later."
        )
    return dict(manifest)


def _hint(file: IO[bytes]) -> str:
    """Return what a file may be instead."""
    start = file.read(8)
    file.seek(0)
    if start == b"\x89HDF\r\n\x1a\n":
        return " but an HDF5 file of Keras (a network is given as backbone=, weights as weights=)"
    if start[:2] == b"PK" and zipfile.is_zipfile(file):
        with contextlib.suppress(*DAMAGE), zipfile.ZipFile(file) as archive:
            if "config.json" in archive.namelist():
                return " but a Keras model (it is given as backbone=)"
    return ""


def _read_members(file: IO[bytes], manifest: dict[str, Any], wanted: Iterable[str] | None = None) -> dict[str, bytes]:
    """Return the members of a file by name: all but its program, or those that are wanted."""
    members = {}
    with open_archive(file, max_members=_MAX_MEMBERS + 1) as archive:
        for name in manifest["sha256"]:
            _check_name(name)
        names = [name for name in manifest["sha256"] if name not in PROGRAM] if wanted is None else wanted
        for name in names:
            members[name] = read_member(archive, name)
            if hashlib.sha256(members[name]).hexdigest() != manifest["sha256"].get(name):
                raise ValueError(f"{name} does not match its digest")
    if wanted is None and _STATE not in members:
        raise ValueError(f"it has no {_STATE}")
    return members


def _check_name(name: str) -> None:
    """See that a member is called as save calls them: a folder, a digest, and an ending from a fixed list."""
    folder, _, last = name.rpartition("/")
    digest, dot, ending = last.partition(".")
    if name not in (_STATE, *PROGRAM) and not (
        folder in _ENDINGS and dot + ending in _ENDINGS[folder] and re.fullmatch("[0-9a-f]{64}", digest)
    ):
        raise ValueError(f"it has a member {name!r}, which is not a name that skcnn.save gives")


def _listed(denied: dict[str, str]) -> str:
    return "; ".join(f"{name} ({reason})" for name, reason in denied.items())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
