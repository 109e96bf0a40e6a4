"""Heat of a sliding window: how probable a class is at each place of an image."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skcnn._labels import as_label
from skcnn._plot.boxes import with_boxes
from skcnn._plot.heat import with_heat
from skcnn._plot.image_grid import Cell, Group, Line, draw_grid
from skcnn._plot.theme import SERIES
from skcnn._text import values_text
from skcnn.images import BadImageError, BadRow, Images, as_images, check_images, map_ahead
from skcnn.metrics.parts import root_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CORNERS = ["xmin", "ymin", "xmax", "ymax"]

#: Images that are decoded ahead.
_AHEAD = 4


class WindowHeatDisplay:
    """Images with how probable a class is in the windows of a sliding-window detector.

    The heat at a place is the probability of the class in the window around it; between the centres of windows it is
    interpolated, and of all scales the highest one counts. It is what the detector sees before it chooses boxes: a
    region that is hot all over says that the classifier does not look at where an object is, a hot background that it
    knows too little of it, and an object that stays cold at every scale is missing among the crops or the scales.

    All images share one scale, from 0 to 1. Make it with :meth:`from_estimator`.

    Parameters
    ----------
    rows : DataFrame of shape (n_images, 11)
        What :meth:`frame` returns.
    images : list of ndarray of shape (height, width, 3), uint8
        Images, upright.
    heatmaps : list of ndarray of shape (height, width), float32
        Probabilities, in [0, 1], of the pixels of each image.
    name : str or None, default=None
        Title of the figure.

    See Also
    --------
    GradCAMDisplay : The same question for a classifier of whole images, by gradients.
    skcnn.detection.SlidingWindowDetector.score_maps : The probabilities of the windows as arrays.

    References
    ----------
    P. Sermanet, D. Eigen, X. Zhang, M. Mathieu, R. Fergus and Y. LeCun, "OverFeat: integrated recognition, localization
    and detection using convolutional networks", ICLR 2014, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from skcnn.detection import SlidingWindowDetector
    >>> from skcnn.inspection import WindowHeatDisplay
    >>> X = np.zeros((8, 48, 64, 3), np.uint8)
    >>> corners = np.random.default_rng(0).integers(0, 33, (8, 2))
    >>> for image, (x, y) in zip(X, corners):
    ...     image[y : y + 16, x : x + 16] = 255
    >>> y = [[[x, y, x + 16, y + 16]] for x, y in corners.tolist()]
    >>> as_rows = FunctionTransformer(lambda X: X.reshape(len(X), -1) / 255)
    >>> detector = SlidingWindowDetector(make_pipeline(as_rows, LogisticRegression()), window=16, random_state=0)
    >>> display = WindowHeatDisplay.from_estimator(detector.fit(X, y), X[:2])
    >>> display.heatmaps[0].shape, display.frame()["target"].tolist()
    ((48, 64), ['object', 'object'])
    >>> figure = display.plot().figure_
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        images: list[np.ndarray],
        heatmaps: list[np.ndarray],
        *,
        name: str | None = None,
    ) -> None:
        self.rows = rows
        self.images = images
        self.heatmaps = heatmaps
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        target: Any = None,
        size: int = 512,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted detector.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`~skcnn.detection.SlidingWindowDetector`, or a search over one.
        X : array-like of n_images images
            A few images: see :func:`skcnn.images.as_images`.
        target : label or array-like of shape (n_images,) or None, default=None
            The class whose heat is drawn, or one for each image. None takes the one with the most probable window.
        size : int, default=512
            Pixels of the longer side that images are drawn with, at most. Windows are those of the whole image.
        name : str or None, default=None
            Title of the figure.

        Returns
        -------
        WindowHeatDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        TypeError
            If the estimator does not classify windows.
        ValueError
            If the target is not one of its classes, or there are not as many as images.
        BadImageError
            If rows have no image.
        """
        if not isinstance(size, Integral) or size < 1:
            raise ValueError(f"size={size!r}; expected a number of pixels >= 1.")
        detector = _detector_of(estimator)
        images = as_images(X, root=root_of(detector))
        columns = _columns(detector.classes_, target, len(images))
        rows, drawn, heatmaps = [], [], []
        for row, pixels in _decoded(images):
            levels = detector.score_maps(pixels)
            best_of_class = np.max([scores.max(axis=(0, 1)) for _, scores in levels], axis=0)
            column = int(best_of_class.argmax()) if columns is None else columns[row]
            small = _small(pixels, int(size))
            heat = [_heat(boxes, scores[..., column], pixels.shape[:2], small.shape[:2]) for boxes, scores in levels]
            drawn.append(small)
            heatmaps.append(np.max(heat, axis=0))
            windows = np.concatenate([boxes.reshape(-1, 4) for boxes, _ in levels])
            scores = np.concatenate([scores[..., column].ravel() for _, scores in levels])
            height, width = pixels.shape[:2]
            best = np.clip(windows[scores.argmax()], 0, [width, height, width, height])
            rows.append(
                {
                    "row": row,
                    "path": images.path(row),
                    "height": height,
                    "width": width,
                    "target": detector.classes_[column],
                    "n_windows": len(windows),
                    "score": scores.max(),
                    **dict(zip(_CORNERS, best, strict=True)),
                }
            )
        return cls(pd.DataFrame(rows).astype({"path": object, "target": object}), drawn, heatmaps, name=name)

    def frame(self) -> pd.DataFrame:
        """Return the best window of each image.

        Returns
        -------
        DataFrame of shape (n_images, 11)
            Columns "row" (position in X), "path" (None where X holds images), "height" and "width" (of the upright
            image, in pixels), "target" (the class), "n_windows" (of all scales), "score" (the probability of the class
            in the best window), and "xmin", "ymin", "xmax" and "ymax" of this window, in pixels of the upright image.
        """
        return self.rows.copy()

    def overlays(self, *, alpha: float = 0.6, cmap: str = "inferno") -> list[np.ndarray]:
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
        list of ndarray of shape (height, width, 3), uint8
        """
        return [
            with_heat(image, heat, alpha=alpha, cmap=cmap)
            for image, heat in zip(self.images, self.heatmaps, strict=True)
        ]

    def plot(self, ax: Axes | None = None, *, alpha: float = 0.6, cmap: str = "inferno") -> Self:
        """Draw each image with its best window, and beside it the same with the heat laid over it.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.
        alpha, cmap
            Opacity and colour map of the heat: see :meth:`overlays`.

        Returns
        -------
        WindowHeatDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        groups = [
            Group(
                [Cell(_with_window(image, row), lines=[Line(before="best window", end=f"{row['score']:.2f}")]),
                 Cell(overlay)],
                row["target"],
            )
            for image, overlay, row in zip(
                self.images, self.overlays(alpha=alpha, cmap=cmap), self.rows.to_dict("records"), strict=True
            )
        ]  # fmt: skip
        self.ax_ = draw_grid(groups, nothing="There is no image.", name=self.name, ax=ax)
        self.figure_ = self.ax_.figure
        return self


def _detector_of(estimator: Any) -> Any:
    """Return the fitted detector in an estimator."""
    detector = estimator
    while True:
        if isinstance(detector, FrozenEstimator):
            detector = detector.estimator
        elif hasattr(detector, "best_estimator_"):
            detector = detector.best_estimator_
        else:
            break
    if not hasattr(detector, "score_maps"):
        raise TypeError(
            f"estimator is a {type(detector).__name__}, which classifies no windows; expected a "
            "skcnn.detection.SlidingWindowDetector."
        )
    check_is_fitted(detector)
    return detector


def _columns(classes: np.ndarray, target: Any, n_images: int) -> list[int] | None:
    """Return the column of the probabilities that is drawn for each image; None for the most probable class."""
    if target is None:
        return None
    labels = [target] * n_images if np.ndim(target) == 0 else list(target)
    if len(labels) != n_images:
        raise ValueError(f"target has {len(labels)} labels; expected one, or {n_images} (one per image).")
    place_of = {label: place for place, label in enumerate(classes.tolist())}
    unknown = [label for label in labels if as_label(label) not in place_of]
    if unknown:
        raise ValueError(
            f"target has {values_text(unknown[:1])}, which is not a class of the detector; expected "
            f"{values_text(classes.tolist(), 8)}."
        )
    return [place_of[as_label(label)] for label in labels]


def _decoded(images: Images) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each image with its row, upright and at its own size; name all bad rows in one error."""
    for row, image in map_ahead(lambda row: images.decode(row, images.size(row)), range(len(images)), _AHEAD):
        if isinstance(image, BadRow):
            raise BadImageError(check_images(images), len(images))
        yield row, image


def _small(pixels: np.ndarray, size: int) -> np.ndarray:
    image = Image.fromarray(pixels)
    image.thumbnail((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _with_window(image: np.ndarray, row: dict[str, Any]) -> np.ndarray:
    """Return an image with its best window drawn on it."""
    scale = np.array([image.shape[1] / row["width"], image.shape[0] / row["height"]] * 2)
    return with_boxes(image, np.array([[row[name] for name in _CORNERS]]) * scale, SERIES[:1], [""])


def _heat(boxes: np.ndarray, scores: np.ndarray, original: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
    """Return scores (rows, columns) of the windows of one scale as pixels of an image of another size.

    Bilinear between the centres of windows; beyond the outermost ones, where no window has its centre, as there.
    """
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    along = []
    for axis, places in ((0, centres[:, 0, 1]), (1, centres[0, :, 0])):
        pixels = (np.arange(size[axis]) + 0.5) * original[axis] / size[axis]
        along.append(np.stack([np.interp(pixels, places, one) for one in np.eye(len(places))], axis=1))
    return (along[0] @ scores @ along[1].T).astype(np.float32)
