"""The work of a worker: it computes the features of some rows, and writes them as a part."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skcnn._stores import Options
from skcnn.distributed._identity import paths_of
from skcnn.distributed._parts import METADATA, Folder, Part, rows_per_block
from skcnn.images import BadImageError, BadRow

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Job:
    """What is the same for all parts: transformer, folder or URL and what its file system is given, and manifest."""

    transformer: Any
    out: str
    storage_options: Options | None
    manifest: dict[str, Any]


def rows_of(data: Any, part: Part) -> Any:
    """Return the rows of a part, of X or y, in the same type as X or y; None if they are None."""
    rows = slice(part.start, part.stop)
    return None if data is None else data.iloc[rows] if hasattr(data, "iloc") else data[rows]


def write_part(job: Job, part: Part, X: Any, labels: np.ndarray | None) -> tuple[Part, list[BadRow]]:
    """Compute and write a part, given its rows; return those for which the transformer raised, instead of a part."""
    folder = Folder(job.out, job.storage_options)
    if folder.has(part.name):  # to list a folder of very many parts for each of them would take longer
        return part, []  # by another worker, which was taken for dead
    try:
        features = np.asarray(job.transformer.transform(X))
    except BadImageError as error:
        rows = error.bad_rows.itertuples(index=False, name=None)
        return part, [BadRow(part.start + row, path, reason) for row, path, reason in rows]
    if features.ndim != 2 or len(features) != part.stop - part.start:
        raise ValueError(
            f"{type(job.transformer).__name__}.transform returned an array of shape {features.shape} for "
            f"{part.stop - part.start} samples; expected one row per sample."
        )
    folder.write(part.name, _as_parquet(job, part, X, labels, features))
    return part, []


def _as_parquet(job: Job, part: Part, X: Any, labels: np.ndarray | None, features: np.ndarray) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = np.ascontiguousarray(features, np.float32)
    columns: dict[str, pa.Array] = {"path": pa.array(paths_of(X), pa.string())}
    if labels is not None:
        columns["label"] = pa.array(labels.tolist())
    columns["features"] = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
    described = {
        "part": part.name,
        "fingerprint": job.manifest["fingerprint"],
        "features": _names(job.transformer, features.shape[1]),
    }
    table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(described).encode()})
    sink = pa.BufferOutputStream()
    # Features hardly compress, and a dictionary of them is larger than they are. Groups of rows can be read alone.
    pq.write_table(
        table,
        sink,
        row_group_size=rows_per_block(features.shape[1]),
        compression="none",
        use_dictionary=False,
        write_page_checksum=True,
    )
    return bytes(sink.getvalue().to_pybytes())


def _names(transformer: Any, n_features: int) -> list[str]:
    """Return the names of features, if the transformer has them."""
    try:
        names = [str(name) for name in transformer.get_feature_names_out()]
    except Exception:  # not fitted, or it does not know
        names = []
    return names if len(names) == n_features else [f"feature{number}" for number in range(n_features)]
