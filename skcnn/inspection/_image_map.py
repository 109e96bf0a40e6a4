"""Many images at once: thumbnails at two coordinates, similar ones close together."""

from __future__ import annotations

import os
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd

from skcnn._labels import as_labels
from skcnn._plot.theme import MUTED, REST, class_colors, new_axes
from skcnn._text import label_text
from skcnn.images import BadRow, as_images, map_ahead
from skcnn.inspection._reducing import reduced
from skcnn.inspection._spread import spread
from skcnn.metrics.parts import root_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike
    from sklearn.base import BaseEstimator

_LABEL = "label"
"""What labels are called that have no name."""

_MAX_IN_LEGEND = 24
"""So many classes have a line in the legend of a figure; on a page all have."""


class ImageMapDisplay:
    """A map of images: thumbnails at two coordinates, coloured by label or cluster.

    With coordinates by PCA or t-SNE of features, similar images are close together. So clusters, wrong labels,
    duplicates and images that do not belong are seen at a glance, before anything is trained.

    Thumbnails never cover one another. Those that would are dots, and become thumbnails where there is room: on the
    page of :meth:`to_html`, when it is zoomed. At most ``max_thumbnails`` images have a thumbnail: those that cover
    the map best. Images that cannot be read are dots, too.

    Make it with :meth:`from_estimator` or :meth:`from_coordinates`.

    Parameters
    ----------
    points : DataFrame of shape (n_samples, 7)
        What :meth:`frame` returns.
    images : list of (ndarray of shape (height, width, 3), uint8) or None
        The thumbnail of each row; None where there is none.
    legend_title : str, default="label"
        What the labels are. Another one than "label" stands before labels that are not text: "cluster 2".
    description : str or None, default=None
        How the coordinates were made.
    name : str or None, default=None
        Title of the map.

    See Also
    --------
    skcnn.metrics.ImageGridDisplay : The images that a classifier predicts wrong.
    skcnn.model_selection.find_duplicates : Images that occur twice.

    References
    ----------
    L. van der Maaten, G. Hinton, "Visualizing data using t-SNE", Journal of Machine Learning Research 9 (2008).

    Examples
    --------
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.feature_extraction import BottleneckFeatures
    >>> from skcnn.inspection import ImageMapDisplay
    >>> X, y = load_digit_images(return_X_y=True)
    >>> features = BottleneckFeatures("ResNet20").fit(X[:100])
    >>> display = ImageMapDisplay.from_estimator(features, X[:100], y[:100])
    >>> display.frame()[["row", "label"]].head(3)
       row  label
    0    0      0
    1    1      1
    2    2      2
    >>> figure = display.plot().figure_
    """

    def __init__(
        self,
        points: pd.DataFrame,
        images: list[np.ndarray | None],
        *,
        legend_title: str = _LABEL,
        description: str | None = None,
        name: str | None = None,
    ) -> None:
        self.points = points
        self.images = images
        self.legend_title = legend_title
        self.description = description
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        reducer: Literal["pca", "tsne"] | BaseEstimator = "pca",
        random_state: int | None = 0,
        max_thumbnails: int = 400,
        size: int = 112,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a transformer that gives features of images.

        Parameters
        ----------
        estimator : estimator
            A fitted transformer or pipeline whose ``transform`` takes images and gives one row of features per image,
            such as :class:`~skcnn.feature_extraction.BottleneckFeatures`. Of a pipeline that ends with a classifier,
            give the steps before it: ``pipe[:-1]``. Rows whose features are not finite (those of bad images, with
            ``on_error="nan"``) are not drawn.
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of shape (n_samples,) or None, default=None
            Labels or numbers of clusters, for the colours: see :meth:`from_coordinates`.
        reducer : {"pca", "tsne"} or transformer, default="pca"
            How features become coordinates. ``"pca"`` is quick, and distances on the map approximate those between the
            features. ``"tsne"`` separates groups better, takes longer, and only shows which images are neighbours:
            distances and the sizes of groups mean nothing. It starts from 50 principal components, with perplexity 30,
            or a third of the number of images where that is less. A transformer of scikit-learn's form with two
            outputs, such as ``umap.UMAP()``, is cloned and fitted.
        random_state : int or None, default=0
            Seed of "pca" and "tsne". An int, so that the map is the same each time.
        max_thumbnails, size, max_pixels, name
            Number and size of the thumbnails, the largest image to decode, and the title: see
            :meth:`from_coordinates`.
        root : path-like or None, default=None
            Folder or URL that relative paths in X start from. None takes the estimator's own ``root``.

        Returns
        -------
        ImageMapDisplay
            Not drawn yet; call :meth:`plot` or :meth:`to_html`.

        Raises
        ------
        TypeError
            If the estimator has no ``transform``, or X is of another type.
        ValueError
            If the reducer does not give two coordinates per image, or X, y or a parameter are invalid.
        """
        if not hasattr(estimator, "transform"):
            raise TypeError(
                f"{type(estimator).__name__} has no transform; expected a transformer of images. Of a pipeline that "
                "ends with a classifier, give the steps before it: pipe[:-1]."
            )
        root = root_of(estimator) if root is None else root
        _check_counts(max_thumbnails, size)
        labels = _labels(y, len(as_images(X, root=root)))
        features = estimator.transform(X)
        features = features.toarray() if hasattr(features, "toarray") else np.asarray(features)
        if features.ndim != 2:
            raise ValueError(
                f"The estimator gives an array of shape {features.shape}; expected (n_images, n_features)."
            )
        finite = np.isfinite(features).all(axis=1)
        coordinates = np.full((len(features), 2), np.nan)
        coordinates[finite], description = reduced(features[finite], reducer, random_state)
        return cls._from_checked(
            X, coordinates, labels, max_thumbnails=max_thumbnails, size=size, root=root, max_pixels=max_pixels,
            legend_title=_title(y), description=description, name=name,
        )  # fmt: skip

    @classmethod
    def from_coordinates(
        cls,
        X: Any,
        coordinates: ArrayLike,
        y: ArrayLike | None = None,
        *,
        max_thumbnails: int = 400,
        size: int = 112,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the Display from coordinates.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`. Only images that have a thumbnail are read.
        coordinates : array-like of shape (n_samples, 2)
            Where each image is, to the right and upwards. Both axes are drawn in one scale. Rows of NaN are not drawn.
        y : array-like of shape (n_samples,) or None, default=None
            Labels or numbers of clusters, for the colours. Missing ones are grey. The name of a Series is the title
            of the legend: ``pd.Series(clusters, name="cluster")``. None: all images have one colour.
        max_thumbnails : int, default=400
            Maximum number of thumbnails; the other images are dots. 400 take about 2 MB of a page.
        size : int, default=112
            Pixels of the longer side of a thumbnail; smaller images are kept as they are. The default is sharp on a
            screen of twice the usual density.
        root : path-like or None, default=None
            Folder or URL that relative paths in X start from. None is the current folder.
        max_pixels : int or None, default=None
            Larger images are not decoded; None stands for Pillow's own limit.
        name : str or None, default=None
            Title of the map.

        Returns
        -------
        ImageMapDisplay
            Not drawn yet; call :meth:`plot` or :meth:`to_html`.

        Raises
        ------
        TypeError
            If X is of another type.
        ValueError
            If X, coordinates, y or a parameter are invalid.
        """
        _check_counts(max_thumbnails, size)
        n_images = len(as_images(X, root=root))
        coordinates = np.array(coordinates, dtype=float)
        if coordinates.shape != (n_images, 2):
            raise ValueError(f"coordinates has shape {coordinates.shape}; expected {(n_images, 2)}, a row per image.")
        return cls._from_checked(
            X, coordinates, _labels(y, n_images), max_thumbnails=max_thumbnails, size=size, root=root,
            max_pixels=max_pixels, legend_title=_title(y), name=name,
        )  # fmt: skip

    @classmethod
    def _from_checked(
        cls,
        X: Any,
        coordinates: np.ndarray,
        labels: np.ndarray,
        *,
        max_thumbnails: int,
        size: int,
        root: str | os.PathLike[str] | None,
        max_pixels: int | None,
        legend_title: str,
        description: str | None = None,
        name: str | None = None,
    ) -> Self:
        images = as_images(X, root=root)
        drawn = np.flatnonzero(np.isfinite(coordinates).all(axis=1))
        if not len(drawn):
            raise ValueError(f"None of the {len(images)} images has coordinates: there is nothing to draw.")
        coordinates[np.setdiff1d(np.arange(len(images)), drawn)] = np.nan
        chosen, spacing = spread(coordinates[drawn], max_thumbnails)
        points = pd.DataFrame(
            {
                "row": np.arange(len(images)),
                "path": pd.Series([images.path(row) for row in range(len(images))], dtype=object),
                "label": labels,
                "x": coordinates[:, 0],
                "y": coordinates[:, 1],
                "spacing": np.nan,
                "reason": pd.Series([None] * len(images), dtype=object),
            }
        )
        points.loc[drawn[chosen], "spacing"] = spacing
        thumbnails: list[np.ndarray | None] = [None] * len(images)
        for row, image in map_ahead(
            lambda row: images.thumbnail(row, int(size), max_pixels=max_pixels), drawn[chosen].tolist(), ahead=64
        ):
            if isinstance(image, BadRow):
                points.loc[row, ["spacing", "reason"]] = [np.nan, image.reason]
            else:
                thumbnails[row] = image
        return cls(points, thumbnails, legend_title=legend_title, description=description, name=name)

    def frame(self) -> pd.DataFrame:
        """Return what is on the map, a row per image.

        Returns
        -------
        DataFrame of shape (n_samples, 7)
            Columns "row" (position in X), "path" (None where X holds images), "label" (None where there is none), "x"
            and "y" (coordinates; NaN where the image is not drawn), "spacing" (in the units of the coordinates:
            thumbnails up to this width cover no other one; NaN where there is none) and "reason" (why an image could
            not be read; None where it was read, or did not need to be).
        """
        return self.points.copy()

    def plot(self, ax: Axes | None = None, *, thumbnail: float = 0.07, legend: bool = True) -> Self:
        """Draw the map by matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.
        thumbnail : float, default=0.07
            Side of a thumbnail as a fraction of the map's longer side, above 0 and up to 1. Images that would cover
            one another at this size are dots.
        legend : bool, default=True
            Whether classes and their colours stand beside the map, where there are at most 24.

        Returns
        -------
        ImageMapDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        if not isinstance(thumbnail, Real) or not 0 < thumbnail <= 1:
            raise ValueError(f"thumbnail={thumbnail!r}; expected a number above 0 and up to 1.")
        codes, classes = self.classes()
        colors = [*(color for color, _ in class_colors(max(len(classes), 1))), REST]  # -1, no label, is the last.
        codes = codes if len(classes) else np.zeros_like(codes)
        drawn = np.flatnonzero(self.points["x"].notna())
        x, y = (self.points[axis].to_numpy() for axis in "xy")
        side = thumbnail * (max(np.ptp(x[drawn]), np.ptp(y[drawn])) or 1.0)
        is_thumbnail = (self.points["spacing"] >= side).to_numpy()
        left, right = x[drawn].min() - 0.8 * side, x[drawn].max() + 0.8 * side
        low, high = y[drawn].min() - 0.8 * side, y[drawn].max() + 0.8 * side
        if ax is None:
            ax = new_axes(9.0, 9.0 * min(max((high - low) / (right - left), 0.3), 1.2))
        for code in range(-1, len(colors) - 1):
            rows = drawn[(codes[drawn] == code) & ~is_thumbnail[drawn]]
            ax.scatter(x[rows], y[rows], s=12, color=colors[code], linewidths=0)
        for row in np.flatnonzero(is_thumbnail):
            self._draw_thumbnail(ax, self.images[row], x[row], y[row], side, colors[codes[row]])
        # Images move the limits.
        ax.set(xlim=(left, right), ylim=(low, high), aspect="equal", xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        if self.description:
            ax.set_xlabel(self.description, color=MUTED)
        if self.name:
            ax.set_title(self.name, parse_math=False)
        if legend and 0 < len(classes) <= _MAX_IN_LEGEND:
            self._draw_legend(ax, classes, colors)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the map as one HTML page that loads nothing from elsewhere.

        The name and the label of an image are shown on hover and on focus (arrow keys go from image to image). The page
        zooms; a click on a class in the legend shows that class alone. Without JavaScript the whole map is shown,
        without zoom.

        At most ``max_thumbnails`` images are inlined (400 take about 2 MB), and at most 10,000 images are drawn: of
        more, the thumbnails and a random sample of the others, and the page says so.

        Parameters
        ----------
        path : str or path-like
            The file. An existing one is replaced in one step, so that it is always complete.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        """
        from skcnn._page.page import write_page
        from skcnn.inspection._image_map_page import render_map

        page = render_map(
            self.points, self.images, *self.classes(), legend_title=self.legend_title, description=self.description,
            name=self.name,
        )  # fmt: skip
        return write_page(path, page)

    def classes(self) -> tuple[np.ndarray, list[str]]:
        """Return the class of each image, and the names of the classes.

        Returns
        -------
        codes : ndarray of shape (n_samples,), int
            Position in ``names``; -1 where there is no label.
        names : list of str
            Sorted by label. Numbers come after the title of the legend, if y gave one ("cluster 2").
        """
        codes, labels = pd.factorize(self.points["label"].to_numpy(dtype=object), sort=True)
        bare = self.legend_title == _LABEL
        named = [label if bare or isinstance(label, str) else f"{self.legend_title} {label}" for label in labels]
        return codes, [label_text(label) for label in named]

    @staticmethod
    def _draw_thumbnail(ax: Axes, image: np.ndarray | None, x: float, y: float, side: float, color: str) -> None:
        from matplotlib.patches import Rectangle

        assert image is not None  # Else it had no spacing.
        height, width = np.array(image.shape[:2]) / max(image.shape[:2]) * side * 0.92
        left, low = x - width / 2, y - height / 2
        ax.imshow(image, extent=(left, left + width, low, low + height), zorder=2)
        ax.add_patch(Rectangle((left, low), width, height, fill=False, edgecolor=color, linewidth=1.6, zorder=3))

    def _draw_legend(self, ax: Axes, classes: list[str], colors: list[str]) -> None:
        from matplotlib.patches import Patch

        handles = [Patch(color=color) for color in colors[: len(classes)]]
        # Names of classes are not markup: neither TeX in dollars nor a leading underscore means anything.
        box = ax.legend(handles, ["-"] * len(handles), title="-", loc="upper left", bbox_to_anchor=(1.0, 1.0))
        for written, name in zip(
            [*box.get_texts(), box.get_title()], [*classes, label_text(self.legend_title)], strict=True
        ):
            written.set_parse_math(False)
            written.set_text(label_text(name, 30))


def _check_counts(max_thumbnails: Any, size: Any) -> None:
    for what, value, least in (("max_thumbnails", max_thumbnails, 0), ("size", size, 1)):
        if not isinstance(value, Integral) or value < least:
            raise ValueError(f"{what}={value!r}; expected an int >= {least}.")


def _title(y: Any) -> str:
    name = getattr(y, "name", None)
    return _LABEL if name is None or name == "" else str(name)


def _labels(y: Any, n_images: int) -> np.ndarray:
    """Return labels as an array of objects, None where there is none."""
    if y is None:
        return np.full(n_images, None, dtype=object)
    labels = as_labels(y)
    if labels.shape != (n_images,):
        raise ValueError(f"y has shape {labels.shape}; expected {(n_images,)}, a label per image.")
    if labels.dtype.kind == "f":
        given = labels[~np.isnan(labels)]
        if (given % 1).any():
            raise ValueError(
                f"y holds numbers such as {given[given % 1 > 0][0]}; expected labels or numbers of clusters. "
                "pandas.cut(y, 5) makes ranges of numbers."
            )
        labels = np.array([None if np.isnan(label) else int(label) for label in labels], dtype=object)
    labels = labels.astype(object)
    labels[pd.isna(labels)] = None
    return labels
