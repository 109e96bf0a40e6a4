"""The output of a frozen part of a network, which training reads again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from skcnn._progress import progress_bar
from skcnn.cache import MemoryCache
from skcnn.engines import Output
from skcnn.feature_extraction._bottleneck_features import BottleneckFeatures
from skcnn.feature_extraction._extraction import extract
from skcnn.images import BadRow, Images


class Activations:
    """What layers of a network give for images: computed once where there is room, and read in every epoch.

    Parameters
    ----------
    images : Images
        All rows.
    features : BottleneckFeatures
        Says which network, weights, size and engine.
    layers : sequence of str
        Layers whose outputs are wanted, by the names that :meth:`skcnn.backbones.Backbone.layer_output` takes.
    n_values : int
        Of all these outputs, per image.
    store : MemoryCache
        Where they lie.
    """

    def __init__(
        self, images: Images, features: BottleneckFeatures, layers: Sequence[str], n_values: int, store: MemoryCache
    ):
        self.images, self.n_values, self.store = images, n_values, store
        self.verbose = features.verbose
        outputs = tuple(Output(layer, None) for layer in layers)
        job = features._job(features._backbone(), outputs)
        self.network = job.plan.fingerprint
        self._job = replace(job, plan=replace(job.plan, outputs=outputs), cache=store, stop_at_error=False)
        self._digests: dict[int, bytes] = {}

    @property
    def is_known(self) -> bool:
        """Whether this process has computed outputs of these layers before, for whatever images."""
        return self.store.output_shapes(self.network) is not None

    def prepare(self) -> list[BadRow]:
        """Compute what is not there yet, if there is room for all of it, and return the rows without an image."""
        bad = []
        for row, digest in self.store.digests(self.images, range(len(self.images))):
            if isinstance(digest, BadRow):
                bad.append(digest)
            else:
                self._digests[row] = digest
        if 4 * self.n_values * len(set(self._digests.values())) > self.store.max_bytes:
            self._digests = {}  # computed anew in every epoch: half of it would be of no use
            return bad
        self.store.set_output_shapes(self.network, [(self.n_values,)])
        bad, progress = [], None
        for part in extract(self.images, self._job):
            bad += part.bad
            if self.verbose and part.n_passes and progress is None:
                title = f"{self._job.plan.backbone.name}, frozen part"
                progress = progress_bar(total=len(self.images), title=title, verbose=self.verbose)
            if progress is not None:
                progress.update(len(part.rows) + len(part.bad))
        if progress is not None:
            progress.close()
        return bad

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the values of rows, (n, n_values) float32; NaN for rows without an image."""
        values = np.full((len(rows), self.n_values), np.nan, np.float32)
        places: dict[bytes, list[int]] = {}
        for place, row in enumerate(rows):
            if int(row) in self._digests:
                places.setdefault(self._digests[int(row)], []).append(place)
        missing = set(range(len(rows)))
        for digest, record in self.store.get_many(self.network, list(places)):
            values[places[digest]] = record
            missing.difference_update(places[digest])
        if missing:
            left = sorted(missing)
            for part in extract(self.images.take([int(rows[place]) for place in left]), replace(self._job, cache=None)):
                if part.rows:
                    values[[left[row] for row in part.rows]] = part.records
        return values
