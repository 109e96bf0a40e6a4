"""Who is nearest: distances from vectors to enrolled people and to their images, some vectors at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from skcnn.metric_learning._gallery import Gallery
from skcnn.metric_learning._space import Space, unit

#: Distances that are computed at once: 64 MB.
_AT_ONCE = 2**24


def nearest_people(
    gallery: Gallery, space: Space, projected: np.ndarray, method: str, n_neighbors: int
) -> Iterator[tuple[int, float]]:
    """Yield the code of the person whom each vector is nearest to, and the distance.

    Parameters
    ----------
    gallery : Gallery
        Who is enrolled: at least one person.
    space : Space
        In which vectors are compared.
    projected : ndarray of shape (n, n_components)
        Vectors in it.
    method : {"nearest", "mean", "knn"}
        By the nearest image of a person, by the mean of the person's images, or by the people of the nearest images.
    n_neighbors : int
        How many images vote with ``"knn"``.
    """
    if method != "knn":
        for _, part in distances_to_people(gallery, space, projected, method):
            codes = part.argmin(axis=1)
            yield from zip(codes.tolist(), part[np.arange(len(part)), codes].tolist(), strict=True)
        return
    for part in distances_to_images(gallery, space, projected):
        for distances, indices in zip(*least(part, n_neighbors), strict=True):
            votes = gallery.codes[indices]
            counts = np.bincount(votes)
            # Of several with as many votes, the one with the nearest image.
            place = int(np.argmax(counts[votes] == counts.max()))
            yield int(votes[place]), float(distances[place])


def distances_to_people(
    gallery: Gallery, space: Space, projected: np.ndarray, method: str
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield rows, and their distances to each person, (n, n_identities): to the mean of the images, or the nearest."""
    if method == "mean":
        means = gallery.means()
        yield from _distances(space, projected, unit(means) if space.metric == "cosine" else means, None)
        return
    for rows, part in _distances(space, projected, gallery.vectors, gallery.squared):
        yield rows, gallery.least(part)


def distances_to_images(gallery: Gallery, space: Space, projected: np.ndarray) -> Iterator[np.ndarray]:
    """Yield distances to each enrolled image, (n, n_templates)."""
    return (part for _, part in _distances(space, projected, gallery.vectors, gallery.squared))


def least(distances: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the least distances of each row and their places, ascending."""
    count = min(count, distances.shape[1])
    places = np.argpartition(distances, count - 1, axis=1)[:, :count]
    found = np.take_along_axis(distances, places, axis=1)
    order = np.argsort(found, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(places, order, axis=1)


def _distances(
    space: Space, projected: np.ndarray, vectors: np.ndarray | None, squared: np.ndarray | None
) -> Iterator[tuple[slice, np.ndarray]]:
    assert vectors is not None
    step = max(1, _AT_ONCE // len(vectors))
    for start in range(0, len(projected), step):
        rows = slice(start, start + step)
        yield rows, space.all_distances(projected[rows].astype(np.float32), vectors, squared)
