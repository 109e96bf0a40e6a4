"""Images in the style of other images, by a pretrained network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from skcnn._image_input import ImageInputMixin
from skcnn._progress import progress_bar
from skcnn._training import Graph, get_graph, report_bad_rows, undecodable
from skcnn.backbones import Backbone, Weights, as_backbone
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.generative._pixel_optimizers import minimize_by_adam, minimize_by_lbfgs
from skcnn.generative._style_network import Layers, default_layers, open_network, weights_of_layers
from skcnn.generative._style_objective import Losses, MapNetwork, Objective, StyleWeights
from skcnn.generative._style_progress import StyleProgress
from skcnn.generative._style_pyramid import Level, Minimize, made_by_levels
from skcnn.generative._style_sizes import (
    MAX_STYLE_SIDE,
    as_image,
    in_steps,
    level_sizes,
    output_size_of,
    resized,
    with_longer_side,
    within,
)
from skcnn.images import Images, fetched_once

if TYPE_CHECKING:
    import keras
    from numpy.typing import ArrayLike

#: Longer side in pixels of styles when their maps are measured, at most.
_MEASURED = 256

#: Iterations in which a compiled gradient saves more time than it takes to compile, on small networks.
_WORTH_COMPILING = 20

_COLUMNS = ["row", "level", "iteration", *Losses._fields]


class StyleTransfer(ImageInputMixin, TransformerMixin, BaseEstimator):
    """Images with the content of one image in the style of others, by the feature maps of a pretrained network [1]_.

    ``fit`` takes the style images, and ``transform`` the content images. The pixels of the result are optimised, and
    the weights of the network do not change. The pixels minimise a weighted sum of three costs:

    - content: how far the maps of the result in the content layers are from those of the content image; for each layer,
      ``1 / (4 * height * width * channels)`` times the sum of squared differences;
    - style: how far the Gram matrices of its maps in the style layers are from those of the style; for each layer,
      ``1 / (4 * channels**2 * (height * width)**2)`` times the sum of squared differences. A Gram matrix holds the
      products of channels, summed over the map: it shows which textures and colours there are, but not where;
    - total variation: how much neighbouring pixels differ.

    A large result is made from coarse to fine: each level of a pyramid begins with the result of the one before, so
    that strokes can be large [2]_. The maps of large images are computed in tiles, so that memory is bounded; this
    changes neither losses nor gradients. All images are extended by 16 mirrored pixels on each side, which are cut off
    at the end.

    Parameters
    ----------
    backbone : str, keras.Model, path or callable, default="VGG19"
        A network that takes images of any size: see :class:`~skcnn.feature_extraction.BottleneckFeatures`. The default
        is that of the paper, 80 MB. Networks without normalisation layers, such as VGG and SqueezeNet, give the best
        images.
    weights : {"pretrained"}, str, path, dict or None, default="pretrained"
        Its weights: see :class:`~skcnn.feature_extraction.BottleneckFeatures`.
    content_layers : layer, sequence of layers, dict or None, default=None
        Layers for the content, by name or index. A dict gives the weight of each layer; otherwise all have the same
        weight, with a sum of 1. None is ``"block4_conv2"`` for VGG16 and VGG19 [1]_. For other networks, it is the last
        map with eight pixels per cell, or with the number of pixels per cell that is closest to eight.
    style_layers : layer, sequence of layers, dict or None, default=None
        Layers for the style, in the same form. None is ``"block1_conv1"`` to ``"block5_conv1"`` for VGG16 and VGG19
        [1]_. For other networks, it is the first and the last map of each resolution with at most 16 pixels per cell.
    content_weight : float, default=1.0
        Weight of the content.
    style_weight : float, default=100.0
        Weight of the style: the larger, the less is left of the content.
    tv_weight : float, default=5.0
        Weight of the total variation: the larger, the smoother.
    scale_maps : bool, default=True
        Divide the maps of each layer by the root of their mean square in the styles (``map_scales_``), so that the same
        weights have a similar effect for all layers and networks. False does not divide them, as in the formulas above.
    pooling : {"avg", "max"}, default="avg"
        ``"avg"`` replaces maximum pooling of the network by average pooling, which gives smoother images [1]_.
        ``"max"`` leaves the network as it is.
    init : {"content", "noise"}, default="content"
        What the optimisation begins with: the content, or random pixels.
    optimizer : {"lbfgs", "adam"}, default="lbfgs"
        ``"lbfgs"`` is SciPy's L-BFGS-B: the loss falls in each iteration. ``"adam"`` needs less memory, but more
        iterations.
    learning_rate : float, default=4.0
        Approximately how much Adam changes a pixel per iteration. Only used if ``optimizer="adam"``.
    max_iter : int, default=100
        Iterations per level, at most.
    tol : float in [0, 1), default=1e-3
        A level ends when the loss fell by less than this fraction in ten iterations.
    output_size : int, (height, width) or None, default=512
        Size of the result in pixels: the length of its longer side, with the aspect ratio of the content image; or
        (height, width), to which the content image is stretched. None is the size of the content image. At most 4,096.
    n_levels : int or None, default=None
        Levels of the pyramid, each of twice the size of the one before. None begins with a longer side of 128 to 255
        pixels. 1 optimises only at the size of the result.
    style_scale : float, default=1.0
        Longer side of the styles in each level, as a multiple of that of the image: larger values give larger strokes.
    tile_size : int or None, default=768
        Largest side in pixels of the tiles in which maps are computed, not counting the surrounding pixels that their
        cells also depend on. Smaller tiles take less memory and more time. None uses one tile for the whole image.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X start from.
    max_pixels : int or None, default=None
        Images with more pixels are refused; None is Pillow's limit.
    random_state : int, RandomState instance or None, default=None
        Seed of ``init="noise"``.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar per image in a terminal or a notebook where it takes longer than 5 seconds. 0 shows
        nothing, and 1 a bar from the first iteration on.

    Attributes
    ----------
    styles_ : list of ndarray of shape (height, width, 3), uint8
        The styles; those with a longer side of more than 2,048 pixels are resized to it.
    sample_weight_ : ndarray of shape (n_styles,), float64
        How much each style counts; the sum is 1.
    content_layers_, style_layers_ : dict of str to float
        Weights of the layers.
    map_scales_ : dict of str to float
        What the maps of each layer are divided by.
    n_features_in_ : int
        1, after ``fit`` on a one-column frame or an (n, 1) array. Not set otherwise.
    feature_names_in_ : ndarray of shape (1,), dtype object
        The name of the column, after ``fit`` on a frame.

    References
    ----------
    .. [1] L. A. Gatys, A. S. Ecker and M. Bethge, "A Neural Algorithm of Artistic Style", arXiv:1508.06576, 2015,
       sections 2 and 3; "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016.
    .. [2] L. A. Gatys, A. S. Ecker, M. Bethge, A. Hertzmann and E. Shechtman, "Controlling Perceptual Factors in Neural
       Style Transfer", CVPR 2017, section 6.

    Examples
    --------
    >>> from sklearn.datasets import load_sample_images
    >>> from skcnn.generative import StyleTransfer
    >>> china, flower = load_sample_images().images
    >>> transfer = StyleTransfer("ResNet20", output_size=64, max_iter=10).fit([flower])
    >>> images, losses = transfer.transform([china], return_losses=True)
    >>> images[0].shape
    (43, 64, 3)
    >>> bool(losses["loss"].is_monotonic_decreasing)
    True
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "backbone": "no_validation",  # resolved by as_backbone, with better messages
        "weights": "no_validation",
        "content_layers": "no_validation",
        "style_layers": "no_validation",
        "content_weight": [Interval(Real, 0, None, closed="left")],
        "style_weight": [Interval(Real, 0, None, closed="left")],
        "tv_weight": [Interval(Real, 0, None, closed="left")],
        "scale_maps": ["boolean"],
        "pooling": [StrOptions({"avg", "max"})],
        "init": [StrOptions({"content", "noise"})],
        "optimizer": [StrOptions({"lbfgs", "adam"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, 1, closed="left")],
        "output_size": "no_validation",
        "n_levels": [Interval(Integral, 1, 12, closed="both"), None],
        "style_scale": [Interval(Real, 0, None, closed="neither")],
        "tile_size": [Interval(Integral, 1, None, closed="left"), None],
        "root": "no_validation",
        "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose", StrOptions({"auto"})],
    }

    def __init__(
        self,
        backbone: str | os.PathLike[str] | Backbone | keras.Model | Callable[..., keras.Model] = "VGG19",
        *,
        weights: Weights = "pretrained",
        content_layers: Layers | None = None,
        style_layers: Layers | None = None,
        content_weight: float = 1.0,
        style_weight: float = 100.0,
        tv_weight: float = 5.0,
        scale_maps: bool = True,
        pooling: str = "avg",
        init: str = "content",
        optimizer: str = "lbfgs",
        learning_rate: float = 4.0,
        max_iter: int = 100,
        tol: float = 1e-3,
        output_size: int | tuple[int, int] | None = 512,
        n_levels: int | None = None,
        style_scale: float = 1.0,
        tile_size: int | None = 768,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | str = "auto",
    ):
        self.backbone = backbone
        self.weights = weights
        self.content_layers = content_layers
        self.style_layers = style_layers
        self.content_weight = content_weight
        self.style_weight = style_weight
        self.tv_weight = tv_weight
        self.scale_maps = scale_maps
        self.pooling = pooling
        self.init = init
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.output_size = output_size
        self.n_levels = n_levels
        self.style_scale = style_scale
        self.tile_size = tile_size
        self.root = root
        self.max_pixels = max_pixels
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Store the styles, and measure their feature maps.

        Parameters
        ----------
        X : array-like of n_styles images
            The styles: see :func:`skcnn.images.as_images`. With several of them, the Gram matrices are averaged.
        y : ignored
            For the API of scikit-learn.
        sample_weight : array-like of shape (n_styles,) or None, default=None
            Weight of each style, >= 0. None gives all styles the same weight.

        Returns
        -------
        self : estimator

        Raises
        ------
        BadImageError
            If rows have no image.
        TypeError
            If a parameter or X has the wrong type.
        ValueError
            If a parameter or X is invalid, or if the network has no such layers.
        """
        with fetched_once(self._check_input(X, reset=True)) as images:
            self.__dict__.pop("styles_", None)  # a fit that fails leaves nothing behind that looks fitted
            self._check()
            _report_bad(images, self.max_pixels)
            weight = _check_sample_weight(sample_weight, np.empty((len(images), 1)), ensure_non_negative=True)
            if not weight.sum() > 0:
                raise ValueError("sample_weight is 0 for all styles; expected one of them to be > 0")
            self.sample_weight_ = weight / weight.sum()
            sizes = [within(images.size(row), MAX_STYLE_SIDE) for row in range(len(images))]
            styles = [images.decode(row, size, max_pixels=self.max_pixels) for row, size in enumerate(sizes)]
        backbone = as_backbone(self.backbone)
        network = backbone.build(weights=self.weights)
        content, style = self.content_layers, self.style_layers
        if content is None or style is None:
            known = default_layers(backbone, network)
            content, style = known[0] if content is None else content, known[1] if style is None else style
        self.content_layers_ = weights_of_layers(content, backbone, "content_layers")
        self.style_layers_ = weights_of_layers(style, backbone, "style_layers")
        self.map_scales_ = dict.fromkeys(self._names, 1.0)
        with self._maps(network) as maps:
            side = min(_MEASURED, max(max(size) for size in sizes))
            squares = [float(np.trace(gram)) / len(gram) for gram in self._grams(maps, styles, side)]
        if not np.isfinite(squares).all():
            raise ValueError(
                f"Maps of {backbone.name} hold NaN or infinite values; expected a network with other weights."
            )
        if self.scale_maps:
            scales = (square**0.5 if square > 0 else 1.0 for square in squares)
            self.map_scales_ = dict(zip(self._names, scales, strict=True))
        self.styles_ = styles
        return self

    def transform(
        self,
        X: Any,
        *,
        callback: Callable[[StyleProgress], None] | None = None,
        return_losses: bool = False,
    ) -> np.ndarray | tuple[np.ndarray, pd.DataFrame]:
        """Return images with the content of X, in the style of the images of ``fit``.

        Parameters
        ----------
        X : array-like of n_samples images
            The contents: see :func:`skcnn.images.as_images`.
        callback : callable or None, default=None
            Called with a :class:`StyleProgress` after each iteration.
        return_losses : bool, default=False
            Whether to return the losses as well.

        Returns
        -------
        images : ndarray of shape (n_samples,), object, or (n_samples, height, width, 3), uint8
            Arrays (height, width, 3), uint8. They are one array if ``output_size`` is (height, width).
        losses : DataFrame of shape (n_iterations, 7)
            If ``return_losses=True``: ``row``, ``level`` (from 1, the coarsest), ``iteration`` (from 0, before the
            first), ``loss`` (the weighted sum), and the costs ``content``, ``style`` and ``total_variation``.

        Raises
        ------
        BadImageError
            If rows have no image.
        ValueError
            If a parameter is invalid, or the loss is not finite.

        Warns
        -----
        ConvergenceWarning
            If the loss is no longer finite; the best image before that is returned.
        """
        check_is_fitted(self)
        records: list[tuple[Any, ...]] = []
        with fetched_once(self._check_input(X, reset=False)) as images:
            self._check()
            _report_bad(images, self.max_pixels)
            sizes = [output_size_of(self.output_size, images.size(row)) for row in range(len(images))]
            generator = check_random_state(self.random_state)
            made = np.empty(len(images), object)
            with self._maps() as maps:
                styles_at = cache(lambda side: self._grams(maps, self.styles_, max(1, round(side * self.style_scale))))
                for row, size in enumerate(sizes):
                    content = images.decode(row, size, max_pixels=self.max_pixels)
                    start = None
                    if self.init == "noise":
                        coarsest = level_sizes(size, self.n_levels)[0]
                        start = generator.randint(256, size=(*coarsest, 3)).astype(np.uint8)
                    with self._reports(row, len(images), size, records, callback) as report:
                        made[row] = made_by_levels(
                            content,
                            start,
                            n_levels=self.n_levels,
                            step=maps.step,
                            objective_of=lambda target: Objective(
                                maps,
                                target,
                                styles_at(max(target.shape)),
                                self._costs,
                                self.tile_size,
                                compiled=self.max_iter >= _WORTH_COMPILING,
                            ),
                            minimize=self._minimize,
                            report=report,
                        )
        found = np.stack(list(made)) if isinstance(self.output_size, Sequence) else made
        return (found, pd.DataFrame(records, columns=_COLUMNS)) if return_losses else found

    @contextmanager
    def _reports(
        self,
        row: int,
        n_rows: int,
        size: tuple[int, int],
        records: list[tuple[Any, ...]],
        callback: Callable[[StyleProgress], None] | None,
    ) -> Iterator[Callable[[Level, int, np.ndarray, Losses], None]]:
        """Give what is called after each iteration: it moves a bar, keeps the losses, and calls the callback."""
        max_iter = int(self.max_iter)
        total = max_iter * len(level_sizes(size, self.n_levels))
        title = f"image {row + 1} of {n_rows}"
        with progress_bar(total=total, title=title, verbose=self.verbose, unit="iteration") as bar:

            def report(level: Level, iteration: int, pixels: np.ndarray, losses: Losses) -> None:
                bar.update((level.number - 1) * max_iter + iteration - bar.n)
                records.append((row, level.number, iteration, *losses))
                if callback is not None:
                    preview = partial(as_image, pixels, level.size)
                    callback(StyleProgress(row, level.number, level.n_levels, iteration, *losses, preview))

            yield report
            bar.update(total - bar.n)

    @property
    def _minimize(self) -> Minimize:
        max_iter, tol = int(self.max_iter), float(self.tol)
        if self.optimizer == "lbfgs":
            return partial(minimize_by_lbfgs, max_iter=max_iter, tol=tol)
        return partial(minimize_by_adam, max_iter=max_iter, tol=tol, learning_rate=float(self.learning_rate))

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.content_layers_, *self.style_layers_]))

    @property
    def _costs(self) -> StyleWeights:
        numbers = {name: number for number, name in enumerate(self._names)}
        return StyleWeights(
            float(self.content_weight),
            float(self.style_weight),
            float(self.tv_weight),
            {numbers[name]: weight for name, weight in self.content_layers_.items()},
            {numbers[name]: weight for name, weight in self.style_layers_.items()},
        )

    @contextmanager
    def _maps(self, network: Any = None) -> Iterator[MapNetwork]:
        """Give the maps of the network, which is built unless the process has it; with the graph's lock held."""
        backbone, names = as_backbone(self.backbone), self._names

        def build() -> Graph:
            built = backbone.build(weights=self.weights) if network is None else network
            return Graph(open_network(backbone, built, names, self.pooling), {})

        identity = (backbone.identity, backbone.weights_id(self.weights))
        with get_graph(("style", *identity, names, self.pooling), build) as graph:
            yield MapNetwork(graph.model, [self.map_scales_[name] for name in names])

    def _grams(self, maps: MapNetwork, styles: list[np.ndarray], side: int) -> list[np.ndarray]:
        """Return the Gram matrices of styles, per cell, averaged; their longer sides are ``side`` pixels."""
        sums: list[Any] = [0.0] * len(self._names)
        for style, weight in zip(styles, self.sample_weight_, strict=True):
            pixels = resized(style, in_steps(with_longer_side(style.shape[:2], side), maps.step))
            for number, gram in enumerate(maps.gram_matrices(pixels, self.tile_size)):
                sums[number] = sums[number] + weight * gram
        return sums

    def _check(self) -> None:
        if not self.content_weight and not self.style_weight:
            raise ValueError("content_weight=0 and style_weight=0; expected one of them to be > 0")
        output_size_of(self.output_size, (1, 1))

    def __skcnn_pack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that a saved file has otherwise."""
        return BottleneckFeatures(self.backbone, weights=self.weights).__skcnn_pack__(members)

    def __skcnn_unpack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that :meth:`__skcnn_pack__` returned as they were, once what was learned is known."""
        output_size_of(self.output_size, (1, 1))
        if self.__sklearn_is_fitted__():
            _check_saved(self)
        return BottleneckFeatures(self.backbone, weights=self.weights).__skcnn_unpack__(members)

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there are styles, for scikit-learn."""
        return hasattr(self, "styles_")

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags of the estimator."""
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.init == "noise" and self.random_state is None
        tags.transformer_tags.preserves_dtype = []
        return tags


def _report_bad(images: Images, max_pixels: int | None) -> None:
    """Raise a BadImageError if rows have no image."""
    if bad := undecodable(images, "stretch", max_pixels):
        report_bad_rows(bad, len(images), "raise")


def _check_saved(estimator: StyleTransfer) -> None:
    """Refuse what ``fit`` cannot have learned."""
    styles, weight = estimator.styles_, estimator.sample_weight_
    are_images = isinstance(styles, list) and all(
        isinstance(style, np.ndarray)
        and style.dtype == np.uint8
        and style.ndim == 3
        and style.shape[2] == 3
        and 0 < min(style.shape) <= max(style.shape) <= MAX_STYLE_SIDE
        for style in styles
    )
    if not are_images or not styles or np.shape(weight) != (len(styles),) or not np.isfinite(weight).all():
        raise ValueError("styles_ and sample_weight_ do not hold images with one weight each")
    layers = (estimator.content_layers_, estimator.style_layers_, estimator.map_scales_)
    numbers = [number for values in layers for number in values.values()]
    if not all(isinstance(number, float) and 0 <= number < np.inf for number in numbers):
        raise ValueError("weights or scales of layers are not finite numbers >= 0")
    if set(layers[2]) != {*layers[0], *layers[1]} or not all(values and all(values) for values in layers):
        raise ValueError("content_layers_, style_layers_ and map_scales_ do not name the same layers")
