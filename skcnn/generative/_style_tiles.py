"""An image in tiles: what of the maps of a tile belongs to it, when the network sees it with its surroundings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from skcnn.generative._style_network import Reach


class Tile(NamedTuple):
    """A part of an image.

    Attributes
    ----------
    rows, columns : slice
        Of the image: the tile with its surroundings.
    masks : list of ndarray of shape (1, height, width, 1), float32
        For each map: 1 for the cells that belong to the tile, 0 for those of its surroundings.
    """

    rows: slice
    columns: slice
    masks: list[np.ndarray]


def step_of(reaches: Sequence[Reach]) -> int:
    """Return what sides of images and tiles are multiples of, in pixels, so that cells lie alike in all of them."""
    return int(np.lcm.reduce([reach.stride for reach in reaches]))


def tiles_of(
    size: tuple[int, int],
    map_sizes: Callable[[tuple[int, int]], list[tuple[int, int]]],
    reaches: Sequence[Reach],
    tile_size: int | None,
) -> list[Tile]:
    """Return tiles that cover an image, so that each cell of each map belongs to one.

    Parameters
    ----------
    size : tuple of (height, width)
        Of the image, multiples of :func:`step_of`.
    map_sizes : callable
        From the size of an image to those of the maps.
    reaches : sequence of Reach
        Of the maps.
    tile_size : int or None
        Largest side of a tile, without the surroundings that its cells depend on, which are added. None is one tile.
    """
    step = step_of(reaches)
    margin = max(-(-max(reach.before, reach.after) // step) * step for reach in reaches)
    of_whole = map_sizes(size)
    tiles = []
    for rows, columns in product(*(_spans(side, tile_size, step, margin) for side in size)):
        masks = []
        of_tile = map_sizes((rows.whole.stop - rows.whole.start, columns.whole.stop - columns.whole.start))
        for whole, seen, reach in zip(of_whole, of_tile, reaches, strict=True):
            down = _belonging(rows, seen[0], whole[0], reach.stride)
            right = _belonging(columns, seen[1], whole[1], reach.stride)
            masks.append((down[:, None] * right)[None, :, :, None])
        tiles.append(Tile(rows.whole, columns.whole, masks))
    return tiles


class _Span(NamedTuple):
    """Of one axis: where a tile begins and ends, with its surroundings (``whole``), and whether it is the last."""

    begin: int
    end: int
    whole: slice
    is_last: bool


def _spans(side: int, tile_size: int | None, step: int, margin: int) -> Iterator[_Span]:
    n_tiles = 1 if tile_size is None else -(-side // tile_size)
    length = -(-side // (n_tiles * step)) * step
    for begin in range(0, side, length):
        end = min(begin + length, side)
        yield _Span(begin, end, slice(max(0, begin - margin), min(side, end + margin)), end == side)


def _belonging(span: _Span, n_seen: int, n_cells: int, stride: int) -> np.ndarray:
    """Return for the cells of a tile along an axis whether they belong to it; ``n_cells`` has the whole image."""
    cells = span.whole.start // stride + np.arange(n_seen)
    end = n_cells if span.is_last else span.end // stride
    return ((cells >= span.begin // stride) & (cells < end)).astype(np.float32)
