"""The output of a frozen part of a network, which training reads again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from skcnn._progress import progress_bar
from skcnn.cache import ActivationCache
from skcnn.engines import Output
from skcnn.feature_extraction._bottleneck_features import BottleneckFeatures
from skcnn.feature_extraction._extraction import extract
from skcnn.images import BadImageError, BadRow, Images, bad_rows_frame


class Activations:
    """Outputs of layers of a network for images, as training needs them: batches of rows, in any order, many times.

    Parameters
    ----------
    images : Images
        All rows.
    features : BottleneckFeatures
        Says which network, weights, size, precision and engine.
    layers : sequence of str
        Layers whose outputs are returned, by the names that :meth:`skcnn.backbones.Backbone.layer_output` takes.
    n_values : int
        Of all these outputs, per image.
    cache : ActivationCache
        Where they are kept, as far as it has room.
    """

    def __init__(
        self,
        images: Images,
        features: BottleneckFeatures,
        layers: Sequence[str],
        n_values: int,
        cache: ActivationCache,
    ):
        self.n_values = n_values
        self._images, self._cache, self._verbose = images, cache, features.verbose
        outputs = tuple(Output(layer, None) for layer in layers)
        job = features._job(features._backbone(), outputs)
        self._job = replace(job, plan=replace(job.plan, outputs=outputs), cache=cache, stop_at_error=False)
        self._network = self._job.plan.fingerprint
        #: Of rows, in what the cache holds: as long as they are here, they stay, whatever the cache lets go.
        self._records: dict[int, np.ndarray] = {}

    @property
    def is_known(self) -> bool:
        """Whether the cache has, or had, outputs of these layers, for whatever images."""
        return self._cache.output_shapes(self._network) is not None

    def keep(self) -> list[BadRow] | None:
        """Compute the outputs of all rows and keep them; nothing is computed if there is no room for all of them.

        Returns
        -------
        list of BadRow or None
            The rows without an image, or None if there is no room: then :meth:`read` computes what it returns.
        """
        bad, digests = [], {}
        for row, digest in self._cache.digests(self._images, range(len(self._images))):
            if isinstance(digest, BadRow):
                bad.append(digest)
            else:
                digests[row] = digest
        with self._cache.using(self._network):
            if self._cache.reserve(self._network, list(digests.values()), self.n_values) == "nowhere":
                return None
            bad += self._compute_all()
            records = dict(self._cache.get_many(self._network, list(digests.values())))
        self._records = {row: records[digest] for row, digest in digests.items() if digest in records}
        return bad

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the values of rows, which are copies.

        Parameters
        ----------
        rows : ndarray of shape (n,), int
            In any order.

        Returns
        -------
        ndarray of shape (n, n_values), float32

        Raises
        ------
        BadImageError
            If a row has no image.
        """
        values, bad = self.read_or_report(rows)
        if bad:
            raise BadImageError(bad_rows_frame(bad), len(self._images))
        return values

    def read_or_report(self, rows: np.ndarray) -> tuple[np.ndarray, list[BadRow]]:
        """Return the values of rows as :meth:`read`, NaN for rows without an image; and these rows."""
        values = np.full((len(rows), self.n_values), np.nan, np.float32)
        bad: list[BadRow] = []
        missing = []
        for place, row in enumerate(rows):
            if (record := self._records.get(int(row))) is None:
                missing.append(place)
            else:
                values[place] = record
        if missing:
            self._cache.set_output_shapes(self._network, [(self.n_values,)])
            for part in extract(self._images.take([int(rows[place]) for place in missing]), self._job):
                if part.rows:
                    values[[missing[row] for row in part.rows]] = part.records
                bad += [one._replace(row=int(rows[missing[one.row]])) for one in part.bad]
        return values, bad

    def _compute_all(self) -> list[BadRow]:
        """Put the outputs of all rows into the cache, and return the rows without an image."""
        self._cache.set_output_shapes(self._network, [(self.n_values,)])
        bad: list[BadRow] = []
        progress = None
        for part in extract(self._images, self._job):
            bad += part.bad
            if self._verbose and part.n_passes and progress is None:
                title = f"{self._job.plan.backbone.name}, frozen layers"
                progress = progress_bar(total=len(self._images), title=title, verbose=self._verbose)
            if progress is not None:
                progress.update(len(part.rows) + len(part.bad))
        if progress is not None:
            progress.close()
        return bad
