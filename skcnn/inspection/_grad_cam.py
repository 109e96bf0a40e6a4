"""Grad-CAM: which regions of an image supported a class, a mask or a similarity."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from PIL import Image

from skcnn._plot.heat import with_heat
from skcnn._plot.image_grid import Cell, Group, draw_grid
from skcnn.images import BadImageError, as_images, bad_rows_frame, read_batches
from skcnn.inspection._explainable import scored_network
from skcnn.inspection._scored_network import FeatureMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class GradCAMDisplay:
    r"""Images with the regions that supported a class, by the gradients of a convolutional network (Grad-CAM).

    The feature maps :math:`A^k` of a layer are added up, each weighted by how much the score :math:`y^c` of the class
    grows with it; what counts against the class is left out:

    .. math:: L^c = \mathrm{ReLU}\Big(\sum_k \alpha_k^c A^k\Big), \qquad
              \alpha_k^c = \frac1Z \sum_{i,j} \frac{\partial y^c}{\partial A^k_{ij}},

    where :math:`Z` is the number of places of a map. The score is the one before the softmax. For a linear classifier
    on averaged features of the last layer, :math:`\alpha_k^c` is its coefficient over :math:`Z`: the class activation
    map (CAM) of Zhou et al.

    Of a segmenter, the score is the mean of the class's logits over the pixels that are predicted as the class
    (Seg-Grad-CAM): the heat says which surroundings made them so. Of an embedding, the score is the cosine of the
    vectors of an image and of a reference.

    Heat shows where the evidence is, not whether it is right, and each map has its own scale. The maps are as coarse as
    the layer: 7 x 7 places for most networks at their native size.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    rows : DataFrame of shape (n_samples, 5)
        What :meth:`frame` returns.
    images : ndarray of shape (n_samples, height, width, 3), uint8
        Images, as the network takes them.
    heatmaps : ndarray of shape (n_samples, height, width), float32
        In [0, 1]: fractions of the largest value in the same image.
    layer : str
        Name of the layer that the feature maps are from.
    name : str or None, default=None
        Title of the figure.

    See Also
    --------
    skcnn.metrics.ImageGridDisplay : The images that are worth explaining.

    References
    ----------
    R. R. Selvaraju, M. Cogswell, A. Das, R. Vedantam, D. Parikh, D. Batra, "Grad-CAM: visual explanations from deep
    networks via gradient-based localization", ICCV 2017, sections 3.1 and 3.2.

    B. Zhou, A. Khosla, A. Lapedriza, A. Oliva, A. Torralba, "Learning deep features for discriminative localization",
    CVPR 2016, section 2.

    K. Vinogradova, A. Dibrov, G. Myers, "Towards interpretable semantic segmentation via gradient-weighted class
    activation mapping", AAAI 2020, equation 2.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.feature_extraction import BottleneckFeatures
    >>> from skcnn.inspection import GradCAMDisplay
    >>> X, y = load_digit_images(return_X_y=True)
    >>> pipe = make_pipeline(BottleneckFeatures("ResNet20"), LogisticRegression(C=0.01, max_iter=1000))
    >>> pipe = pipe.fit(X[:100], y[:100])
    >>> display = GradCAMDisplay.from_estimator(pipe, X[100:104])
    >>> display.heatmaps.shape, str(display.heatmaps.dtype), display.layer
    ((4, 32, 32), 'float32', 'stage3_unit3')
    >>> figure = display.plot().figure_
    """

    def __init__(
        self, rows: pd.DataFrame, images: np.ndarray, heatmaps: np.ndarray, *, layer: str, name: str | None = None
    ) -> None:
        self.rows = rows
        self.images = images
        self.heatmaps = heatmaps
        self.layer = layer
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        target: Any = None,
        reference: Any = None,
        layer: str | int | None = None,
        batch_size: int = 16,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted classifier, segmenter or embedding of images.

        The network is built once and runs in float32 on Keras, whatever engine and precision the estimator uses.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`~skcnn.neural_network.CNNClassifier`; or a fitted pipeline of
            :class:`~skcnn.feature_extraction.BottleneckFeatures`, affine steps such as ``StandardScaler`` or ``PCA``,
            and a linear classifier with ``coef_``, such as ``LogisticRegression``, ``SGDClassifier`` or
            :class:`~skcnn.ensemble.BaggedSGDClassifier` (the mean of its bags' scores); or a search over one of these,
            or one of these with another threshold (:func:`skcnn.model_selection.with_threshold`). Or a fitted
            :class:`~skcnn.segmentation.CNNSegmenter` or :class:`~skcnn.metric_learning.TripletEmbedding`.
        X : array-like of n_samples images
            A few images: see :func:`skcnn.images.as_images`.
        target : label or array-like of shape (n_samples,) or None, default=None
            The class to explain, or one for each image. None is the predicted class; of a segmenter the one with most
            pixels in the image, the first class left out.
        reference : image, array-like of images, ndarray of shape (n_components,) or None, default=None
            For an embedding, which has no classes: the image that the similarity is to, or its vector; or one for each
            image, of shape (n_samples, n_components) where they are vectors.
        layer : str or int or None, default=None
            The layer of the feature maps: a name of the backbone's column ``layers`` in
            :func:`skcnn.backbones.list_backbones`, or the name or the index of any layer of the Keras network that
            gives a feature map. None is the last feature map that the features are made of: it is the most specific to
            classes. Earlier ones are finer, but less specific. Of a segmenter it is a layer before its head.
        batch_size : int, default=16
            Images that go through the network together: gradients take memory.
        name : str or None, default=None
            Title of the figure.

        Returns
        -------
        GradCAMDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator is none of these; the message says what is accepted.
        ValueError
            If the target is not a class, if there is no such layer, if the steps before the classifier are not affine;
            if ``reference`` is missing for an embedding, or given for another estimator.
        BadImageError
            If rows give no image.
        RuntimeError
            If Keras runs on a backend that has no gradients.
        """
        if not isinstance(batch_size, Integral) or batch_size < 1:
            raise ValueError(f"batch_size={batch_size!r}; expected an int >= 1.")
        scored = scored_network(estimator)
        reader = scored.reader
        images = as_images(X, root=reader.root)
        wanted = scored.wanted(estimator, X, images, target=target, reference=reference)
        feature_map = FeatureMap(scored, layer)
        pixels = np.empty((len(images), *scored.image_size, 3), np.uint8)
        heatmaps = np.empty((len(images), *scored.image_size), np.float32)
        scores, peaks = np.empty(len(images)), np.empty(len(images))
        batches = read_batches(
            images, range(len(images)), scored.image_size, batch_size=batch_size, resize=reader.resize,
            max_pixels=reader.max_pixels,
        )  # fmt: skip
        bad = []
        for batch in batches:
            bad += batch.bad
            if bad:
                continue  # All bad rows are reported at once.
            pixels[batch.rows] = batch.pixels
            maps, gradients, scores[batch.rows] = feature_map.look(batch.pixels, wanted.numbers[batch.rows])
            weighted = grad_cam(maps, gradients)
            peaks[batch.rows] = weighted.max(axis=(1, 2))
            heatmaps[batch.rows] = enlarged(weighted, scored.image_size)
        if bad:
            raise BadImageError(bad_rows_frame(bad), len(images))
        rows = pd.DataFrame(
            {
                "row": np.arange(len(images)),
                "path": pd.Series([images.path(row) for row in range(len(images))], dtype=object),
                "target": wanted.names,
                "score": scores,
                "peak": peaks,
            }
        )
        return cls(rows, pixels, heatmaps, layer=feature_map.name, name=name)

    def frame(self) -> pd.DataFrame:
        """Return what was explained in each image.

        Returns
        -------
        DataFrame of shape (n_samples, 5)
            Columns "row" (position in X), "path" (None where X holds images), "target" (the class; of an embedding the
            path or the number of the reference), "score" (of the class, before the softmax; of a segmenter 0 where no
            pixel is predicted as the class; of an embedding the cosine) and "peak" (the largest value of the map before
            it was scaled to 1; 0 where nothing in the image supports what is explained, and the heat map is 0
            everywhere).
        """
        return self.rows.copy()

    def overlays(self, *, alpha: float = 0.6, cmap: str = "inferno") -> np.ndarray:
        """Return the images with the heat laid over them.

        Parameters
        ----------
        alpha : float, default=0.6
            How much the heat covers, in [0, 1].
        cmap : str, default="inferno"
            Name of a matplotlib colormap; the default gets lighter with heat, so that it is readable for the
            colour-blind.

        Returns
        -------
        ndarray of shape (n_samples, height, width, 3), uint8
        """
        return with_heat(self.images, self.heatmaps, alpha=alpha, cmap=cmap)

    def plot(self, ax: Axes | None = None, *, alpha: float = 0.6, cmap: str = "inferno") -> Self:
        """Draw each image, and beside it the same with the heat laid over it, below the name of the class.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.
        alpha, cmap
            Opacity and colour map of the heat: see :meth:`overlays`.

        Returns
        -------
        GradCAMDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        groups = [
            Group([Cell(image), Cell(overlay)], target)
            for image, overlay, target in zip(
                self.images, self.overlays(alpha=alpha, cmap=cmap), self.rows["target"], strict=True
            )
        ]
        self.ax_ = draw_grid(groups, nothing="There is no image.", name=self.name, ax=ax)
        self.figure_ = self.ax_.figure
        return self


def grad_cam(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Return the class activation maps (n, rows, columns) of feature maps and gradients (n, rows, columns, channels).

    Equations 1 and 2 of Selvaraju et al.
    """
    weights = gradients.mean(axis=(1, 2))
    return np.maximum(np.einsum("nijk,nk->nij", maps, weights), 0)


def enlarged(weighted: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return maps of the size (height, width), bilinear between places, each divided by its largest value."""
    large = np.stack(
        [
            np.asarray(Image.fromarray(one.astype(np.float32)).resize(size[::-1], Image.Resampling.BILINEAR))
            for one in weighted
        ]
    )
    peak = large.max(axis=(1, 2), keepdims=True)
    return np.divide(large, peak, out=np.zeros_like(large), where=peak > 0)
