"""Features in parts, computed by this process or by the workers of a cluster."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skcnn._labels import as_labels
from skcnn._progress import progress_bar
from skcnn._stores import Options
from skcnn.distributed._dask import start_cluster, write_on_workers
from skcnn.distributed._identity import fingerprint
from skcnn.distributed._parts import MANIFEST, FeatureParts, Folder, load_features, parts_of
from skcnn.distributed._worker import Job, rows_of, write_part
from skcnn.images import BadImageError, BadRow, bad_rows_frame

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def extract_parts(
    X: Any,
    transformer: Any,
    out: str | os.PathLike[str],
    *,
    y: ArrayLike | None = None,
    rows_per_part: int = 10_000,
    engine: Literal["local", "dask"] = "local",
    address: str | None = None,
    n_workers: int | None = None,
    storage_options: Options | None = None,
    verbose: int | str = "auto",
) -> FeatureParts:
    """Write the features of images in parts: Parquet files, each of which appears only when it is complete.

    A part is written by the process that computed it, so that memory does not grow with the number of images. After an
    interruption, call it again: existing parts are kept.

    Parameters
    ----------
    X : array-like of n_samples images
        What the transformer takes: see :func:`skcnn.images.as_images`. A source, such as
        :class:`skcnn.datasets.TFRecordImages`, is sent to the workers as row numbers, and the workers read its images.
    transformer : transformer
        Such as :class:`skcnn.feature_extraction.BottleneckFeatures`; stateless, or fitted. Set its ``cache=None`` to
        save memory: ``"memory"`` keeps up to 1 GiB of features, which parts do not need.
    out : path-like
        Folder, or URL for fsspec (extra ``remote``), such as ``"s3://bucket/features"``; created if it does not exist.
        A part appears in a store with the request that has transferred it; where a store has no such requests, it is
        written beside and renamed. It will hold ``manifest.json`` and parts named ``part-00000-of-00010.parquet``, with
        the columns ``path``, ``label`` (if y is given) and ``features`` (lists of float32, of a fixed size).
    y : array-like of shape (n_samples,) or None, default=None
        Labels to store with the features.
    rows_per_part : int, default=10,000
        Samples per part: at most so many are lost in an interruption, and so many are in memory at a time (51 MB for
        MobileNetV2).
    engine : {"local", "dask"}, default="local"
        ``"local"``: this process, which uses all cores. ``"dask"``: the workers of a Dask cluster (extra ``dask``); if
        a worker ends, only its current part is lost, and another worker computes that part.
    address : str or None, default=None
        Address of Dask's scheduler, such as ``"tcp://10.0.0.1:8786"``. None starts workers on this machine. Workers
        write to ``out`` themselves, so it must be the same folder for all of them.
    n_workers : int or None, default=None
        Worker processes to start if there is no ``address``; None is one per two cores. Each loads a network.
    storage_options : dict or None, default=None
        Arguments of fsspec's file system if ``out`` is a URL, such as ``{"key": ..., "secret": ...}``; they are sent to
        the workers. None: what the environment and fsspec's own configuration files say. Those of the images are
        given to their source: see :class:`skcnn.images.RemoteImages`.
    verbose : int or "auto", default="auto"
        Whether to show a progress bar. "auto" shows one in a terminal or a notebook where the job takes longer than 5
        seconds, 1 from the first part on, 0 never.

    Returns
    -------
    FeatureParts
        The features, ready to read, as :func:`load_features` returns them.

    Raises
    ------
    skcnn.images.BadImageError
        If rows have no image and the transformer raises an error for them. All parts without such rows are written.
    ImportError
        If ``engine="dask"`` and Dask is not installed, or ``out`` is a URL and what writes it is not installed.
    OSError
        If the disk or the store fails. What was written stays.
    ValueError
        If a parameter is invalid, or ``out`` holds parts of other images, other labels or another transformer.

    See Also
    --------
    load_features : Reads the parts.

    Examples
    --------
    >>> import tempfile
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.distributed import extract_parts
    >>> from skcnn.feature_extraction import BottleneckFeatures
    >>> X, y = load_digit_images(return_X_y=True)
    >>> network = BottleneckFeatures("ResNet20", cache=None, verbose=0)
    >>> extract_parts(X[:100], network, tempfile.mkdtemp(), y=y[:100], rows_per_part=40)
    <FeatureParts of 100 x 64 in 3 parts>
    """
    if engine not in ("local", "dask"):
        raise ValueError(f"engine={engine!r}; expected 'local' or 'dask'.")
    if isinstance(rows_per_part, bool) or not isinstance(rows_per_part, (int, np.integer)) or rows_per_part < 1:
        raise ValueError(f"rows_per_part={rows_per_part!r}; expected a positive int.")
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    labels = None if y is None else as_labels(y)
    if labels is not None and labels.shape != (n_rows,):
        raise ValueError(f"y has shape {labels.shape}; expected ({n_rows},), one label per sample.")
    folder = Folder(out, storage_options)
    job = Job(transformer, folder.path, storage_options, _begin(folder, X, labels, transformer, int(rows_per_part)))
    finished = folder.names()
    parts = [part for part in parts_of(job.manifest) if part.name not in finished]
    bad: list[BadRow] = []
    with ExitStack() as stack:
        progress = progress_bar(total=n_rows, title="parts", verbose=verbose)
        stack.callback(progress.close)
        progress.update(n_rows - sum(part.stop - part.start for part in parts))
        if engine == "dask":
            written = write_on_workers(start_cluster(stack, address, n_workers), job, X, labels, parts)
        else:
            written = (write_part(job, part, rows_of(X, part), rows_of(labels, part)) for part in parts)
        for part, found in written:
            bad += found
            progress.update(part.stop - part.start)
    if bad:
        raise BadImageError(
            bad_rows_frame(sorted(bad)),
            n_rows,
            "The parts without these rows are written. Repair these images and call extract_parts again, leave them "
            "out by skcnn.images.drop_bad_images, or use a transformer with on_error='nan'.",
        )
    return load_features(out, storage_options=storage_options)


def _begin(folder: Folder, X: Any, labels: np.ndarray | None, transformer: Any, rows_per_part: int) -> dict[str, Any]:
    """Write down what the parts are of; raise where there are parts of something else."""
    manifest = {
        "format": 1,
        "rows": int(X.shape[0] if hasattr(X, "shape") else len(X)),
        "rows_per_part": rows_per_part,
        "has_labels": labels is not None,
        "fingerprint": fingerprint(X, labels, transformer),
    }
    before = folder.manifest()
    if before == manifest:
        return manifest
    if before is not None or any(name.endswith(".parquet") for name in folder.names()):
        raise ValueError(
            f"{folder.path} has parts of other images or labels, of another size, or of another transformer; expected "
            "an empty folder, or that of a call with the same arguments, which is then resumed. Give another folder, "
            "or remove this one."
        )
    folder.make()
    folder.write(MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    return manifest
