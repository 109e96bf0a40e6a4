"""The loss of an image, and its gradient, for the whole image at once, or tile by tile in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skcnn._keras import gradient_of, import_keras, pinned
from skcnn.generative._style_losses import content_cost, gram_matrix, style_cost, style_sensitivity, total_variation
from skcnn.generative._style_network import reaches_of
from skcnn.generative._style_tiles import Tile, step_of, tiles_of


class Losses(NamedTuple):
    """The weighted sum of the costs, and the costs."""

    loss: float
    content: float
    style: float
    total_variation: float


class StyleWeights(NamedTuple):
    """Weights of the costs.

    Attributes
    ----------
    content, style, total_variation : float
    content_layers, style_layers : dict of int to float
        From the number of an output of the network to its weight.
    """

    content: float
    style: float
    total_variation: float
    content_layers: dict[int, float]
    style_layers: dict[int, float]


class MapNetwork:
    """A network from pixels of any size to maps, which are divided by constants.

    Parameters
    ----------
    model : keras.Model
        Of :func:`open_network`.
    scales : sequence of float
        What the values of each map are divided by.
    """

    def __init__(self, model: Any, scales: Sequence[float]):
        self.model, self.scales = model, [float(scale) for scale in scales]
        self.reaches = reaches_of(model)
        self.step = step_of(self.reaches)

    def __call__(self, pixels: Any) -> list[Any]:
        """Return the maps (1, height, width, channels) of pixels (1, height, width, 3), tensors."""
        maps = self.model(pixels, training=False)
        maps = list(maps) if isinstance(maps, (list, tuple)) else [maps]
        return [one if scale == 1 else one / scale for one, scale in zip(maps, self.scales, strict=True)]

    def maps(self, pixels: np.ndarray) -> list[np.ndarray]:
        """Return the maps of pixels (height, width, 3), arrays of float32."""
        keras = import_keras()
        with pinned():
            found = self(keras.ops.convert_to_tensor(pixels[None].astype(np.float32)))
            return [keras.ops.convert_to_numpy(one) for one in found]

    def map_sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the sizes of the maps of an image of a size.

        Raises
        ------
        ValueError
            If there would be none.
        """
        try:
            shapes = self.model.compute_output_shape((1, *size, 3))
        except ValueError:
            shapes = [(1, 0, 0)]
        shapes = shapes if isinstance(shapes, list) else [shapes]
        if any(min(shape[1:3]) < 1 for shape in shapes):
            raise ValueError(
                f"Images of {size[0]} x {size[1]} pixels are too small for the layers: a map has no cells. Use a "
                "larger output_size, fewer levels, or earlier layers."
            )
        return [tuple(shape[1:3]) for shape in shapes]

    def tiles(self, size: tuple[int, int], tile_size: int | None) -> list[Tile]:
        """Return the tiles of an image whose sides are multiples of ``step``."""
        return tiles_of(size, self.map_sizes, self.reaches, tile_size)

    def gram_matrices(self, pixels: np.ndarray, tile_size: int | None) -> list[np.ndarray]:
        """Return the Gram matrix of each map of pixels (height, width, 3), per cell: (channels, channels) float64."""
        sums = self._grams(pixels, self.tiles(pixels.shape[:2], tile_size))
        return [gram / np.prod(size) for gram, size in zip(sums, self.map_sizes(pixels.shape[:2]), strict=True)]

    def _grams(self, pixels: np.ndarray, tiles: list[Tile]) -> list[np.ndarray]:
        sums: list[Any] = [0.0] * len(self.scales)
        for tile in tiles:
            maps = self.maps(pixels[tile.rows, tile.columns])
            for number, (one, mask) in enumerate(zip(maps, tile.masks, strict=True)):
                cells = one[mask[..., 0] > 0]
                sums[number] = sums[number] + (cells.T @ cells).astype(np.float64)
        return sums


class Objective:
    """The loss of images of one size, and its gradient.

    Parameters
    ----------
    network : MapNetwork
    content : ndarray of shape (height, width, 3)
        Pixels of the content, of sides that are multiples of ``network.step``.
    styles : list of ndarray of shape (channels, channels)
        Gram matrices of the style per cell, one per map.
    weights : StyleWeights
    tile_size : int or None
        See :func:`tiles_of`.
    compiled : bool, default=False
        Whether the gradient is compiled, which is worth it if it is computed dozens of times.
    """

    def __init__(
        self,
        network: MapNetwork,
        content: np.ndarray,
        styles: list[np.ndarray],
        weights: StyleWeights,
        tile_size: int | None,
        *,
        compiled: bool = False,
    ):
        self._network, self._weights = network, weights
        self._styles = {number: styles[number] for number in weights.style_layers}
        self._tiles = network.tiles(content.shape[:2], tile_size)
        self._n_cells = [int(np.prod(size)) for size in network.map_sizes(content.shape[:2])]
        self._contents = []
        for tile in self._tiles:
            maps = network.maps(content[tile.rows, tile.columns])
            self._contents.append([maps[number] for number in weights.content_layers])
        self._whole = gradient_of(self._loss_of_whole, compiled=compiled)
        self._part = gradient_of(self._loss_of_part, compiled=compiled)

    def __call__(self, pixels: np.ndarray) -> tuple[Losses, np.ndarray]:
        """Return the losses of an image and the gradient of the weighted sum.

        Parameters
        ----------
        pixels : ndarray of shape (height, width, 3), float64
            Values in [0, 255].

        Returns
        -------
        losses : Losses
        gradient : ndarray of shape (height, width, 3), float64
        """
        content, style, gradient = self._of_maps(pixels) if len(self._tiles) == 1 else self._of_tiles(pixels)
        weights = self._weights
        smooth, slope = total_variation(pixels)
        gradient = gradient + weights.total_variation * slope
        loss = weights.content * content + weights.style * style + weights.total_variation * smooth
        return Losses(loss, content, style, smooth), gradient

    def _of_maps(self, pixels: np.ndarray) -> tuple[float, float, np.ndarray]:
        styles = [style.astype(np.float32) for style in self._styles.values()]
        given = [*self._tiles[0].masks, *self._contents[0], *styles]
        gradient, content, style = self._whole(pixels[None].astype(np.float32), *given)
        return float(content), float(style), gradient[0].astype(np.float64)

    def _of_tiles(self, pixels: np.ndarray) -> tuple[float, float, np.ndarray]:
        # What a change of a Gram matrix does is known once all tiles were seen: then each can be seen alone.
        sums = self._network._grams(pixels, self._tiles)
        sensitivities, style = [], 0.0
        for number, weight in self._weights.style_layers.items():
            gram, target, n_cells = sums[number], self._styles[number], self._n_cells[number]
            style += weight * float(((gram / n_cells - target) ** 2).sum() / (4 * target.shape[-1] ** 2))
            factor = self._weights.style * weight
            sensitivities.append((factor * style_sensitivity(gram, target, n_cells)).astype(np.float32))
        gradient, content = np.zeros(pixels.shape), 0.0
        for tile, contents in zip(self._tiles, self._contents, strict=True):
            seen = pixels[None, tile.rows, tile.columns].astype(np.float32)
            slope, cost = self._part(seen, *tile.masks, *contents, *sensitivities)
            gradient[tile.rows, tile.columns] += slope[0]
            content += float(cost)
        return content, style, gradient

    def _loss_of_whole(self, pixels: Any, *given: Any) -> tuple[Any, tuple[Any, Any]]:
        maps, masks, contents, styles = self._split(pixels, given)
        content, style = self._content(maps, masks, contents), 0.0
        for (number, weight), target in zip(self._weights.style_layers.items(), styles, strict=True):
            style = style + weight * style_cost(gram_matrix(maps[number]), target, self._n_cells[number])
        return self._weights.content * content + self._weights.style * style, (content, style)

    def _loss_of_part(self, pixels: Any, *given: Any) -> tuple[Any, tuple[Any]]:
        maps, masks, contents, sensitivities = self._split(pixels, given)
        ops = import_keras().ops
        content = self._content(maps, masks, contents)
        loss = self._weights.content * content
        for number, sensitivity in zip(self._weights.style_layers, sensitivities, strict=True):
            loss = loss + ops.sum(sensitivity * gram_matrix(maps[number] * masks[number]))
        return loss, (content,)

    def _split(
        self, pixels: Any, given: Sequence[Any]
    ) -> tuple[list[Any], Sequence[Any], Sequence[Any], Sequence[Any]]:
        """Return the maps of pixels, and what was given apart: masks, contents, and what belongs to styles."""
        n_maps, n_contents = len(self._n_cells), len(self._weights.content_layers)
        return (
            self._network(pixels),
            given[:n_maps],
            given[n_maps : n_maps + n_contents],
            given[n_maps + n_contents :],
        )

    def _content(self, maps: list[Any], masks: Sequence[Any], contents: Sequence[Any]) -> Any:
        ops = import_keras().ops
        content = ops.zeros(())
        for (number, weight), target in zip(self._weights.content_layers.items(), contents, strict=True):
            squares = ops.sum(ops.square(maps[number] - target) * masks[number])
            content = content + weight * content_cost(squares, self._n_cells[number] * target.shape[-1])
        return content
