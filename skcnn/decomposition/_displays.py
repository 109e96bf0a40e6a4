"""Displays of an autoencoder: images of a grid of codes, and reconstructions beside originals."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skcnn._plot.image_grid import Cell, Group, Line, draw_grid
from skcnn._plot.mosaic import side_by_side
from skcnn._plot.theme import new_axes
from skcnn._training import decoded_images
from skcnn.decomposition._base import BaseAutoencoder
from skcnn.decomposition._network import targets_of
from skcnn.images import BadImageError, as_images, bad_rows_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class LatentSpaceDisplay:
    """Images of codes in which two components vary, in a grid.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n_steps, n_steps, height, width, 3) or (n_steps, n_steps, height, width), uint8
        By the value of the second component, then of the first one.
    values : ndarray of shape (2, n_steps), float64
        The values of both components.
    components : tuple of int
        Their numbers.
    name : str or None, default=None
        Title.

    See Also
    --------
    ReconstructionDisplay : Images beside those of their codes.
    skcnn.inspection.ImageMapDisplay : Thumbnails of images at two coordinates, such as two components.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn.decomposition import LatentSpaceDisplay, VariationalAutoencoder
    >>> X = load_digits().images * (255 / 16)
    >>> vae = VariationalAutoencoder(2, epochs=2, random_state=0).fit(X[:100])
    >>> display = LatentSpaceDisplay.from_estimator(vae, n_steps=5)
    >>> display.images.shape
    (5, 5, 8, 8)
    >>> figure = display.plot().figure_
    """

    def __init__(
        self, images: np.ndarray, values: np.ndarray, *, components: tuple[int, int], name: str | None = None
    ) -> None:
        self.images = images
        self.values = values
        self.components = components
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        components: Sequence[int] = (0, 1),
        n_steps: int = 11,
        span: float = 2.0,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted autoencoder.

        Parameters
        ----------
        estimator : ConvAutoencoder or VariationalAutoencoder
            Fitted, with at least two components.
        components : sequence of two ints, default=(0, 1)
            Numbers of the components that vary. The others have their mean: that of the training images, or 0 for a
            :class:`VariationalAutoencoder`.
        n_steps : int, default=11
            Values of each component.
        span : float, default=2.0
            Largest distance from the mean, in standard deviations: 2 holds 95 % of the codes.
        name : str or None, default=None
            Title.

        Returns
        -------
        LatentSpaceDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator is not an autoencoder of skcnn.
        ValueError
            If there are no such components, or another parameter is invalid.
        """
        _check_autoencoder(estimator)
        n_components = len(estimator.get_feature_names_out())
        numbers = [int(number) for number in components if isinstance(number, Integral)]
        if not len(components) == len(numbers) == len({*numbers} & {*range(n_components)}) == 2:
            raise ValueError(f"components={components!r}; expected two different ints in [0, {n_components - 1}].")
        if not isinstance(n_steps, Integral) or n_steps < 1:
            raise ValueError(f"n_steps={n_steps!r}; expected an int >= 1.")
        if not isinstance(span, Real) or not 0 < span < np.inf:
            raise ValueError(f"span={span!r}; expected a number > 0.")
        mean, deviation = estimator._spread()
        steps = np.linspace(-span, span, int(n_steps)) if n_steps > 1 else np.zeros(1)
        values = mean[numbers, None] + deviation[numbers, None] * steps
        codes = np.tile(mean, (int(n_steps), int(n_steps), 1))
        codes[..., numbers[0]] = values[0]
        codes[..., numbers[1]] = values[1][:, None]
        images = estimator.inverse_transform(codes.reshape(-1, n_components))
        shape = (int(n_steps), int(n_steps), *images.shape[1:])
        return cls(images.reshape(shape), values, components=(numbers[0], numbers[1]), name=name)

    def frame(self) -> pd.DataFrame:
        """Return the codes of the images.

        Returns
        -------
        DataFrame of shape (n_steps * n_steps, 2)
            Columns "component a" and "component b", where a and b are numbers; in the order of ``images``, the first
            component changing fastest.
        """
        first, second = np.meshgrid(*self.values)
        names = [f"component {number}" for number in self.components]
        return pd.DataFrame({names[0]: first.ravel(), names[1]: second.ravel()})

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the images side by side, each at its code.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.

        Returns
        -------
        LatentSpaceDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        n_steps, (height, width) = len(self.images), self.images.shape[2:4]
        if ax is None:
            ax = new_axes(6.0, 6.0 * height / width + 0.4)
        (left, right), (bottom, top) = (_edges(values) for values in self.values)
        # The second component grows upwards.
        ax.imshow(side_by_side(self.images[::-1]), cmap="gray", vmin=0, vmax=255, extent=(left, right, bottom, top))
        ax.set_aspect((right - left) / (top - bottom) * height / width)
        ax.grid(visible=False)
        shown = range(0, n_steps, max(1, -(-n_steps // 6)))
        ax.set_xticks([self.values[0][step] for step in shown], [f"{self.values[0][step]:.2g}" for step in shown])
        ax.set_yticks([self.values[1][step] for step in shown], [f"{self.values[1][step]:.2g}" for step in shown])
        ax.set(xlabel=f"component {self.components[0]}", ylabel=f"component {self.components[1]}")
        if self.name:
            ax.set_title(self.name, parse_math=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self


class ReconstructionDisplay:
    """Images, and beside each the image of its code, with the error.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    rows : DataFrame of shape (n_samples, 3)
        What :meth:`frame` returns.
    images : ndarray of shape (n_samples, height, width, 3), uint8
        Images, as the network takes them.
    reconstructions : ndarray of shape (n_samples, height, width, 3), uint8
        Images of their codes.
    name : str or None, default=None
        Title.

    See Also
    --------
    LatentSpaceDisplay : Images of a grid of codes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn.decomposition import ConvAutoencoder, ReconstructionDisplay
    >>> X = load_digits().images * (255 / 16)
    >>> autoencoder = ConvAutoencoder(8, epochs=2, random_state=0).fit(X[:100])
    >>> display = ReconstructionDisplay.from_estimator(autoencoder, X[100:104])
    >>> display.reconstructions.shape
    (4, 8, 8, 3)
    >>> figure = display.plot().figure_
    """

    def __init__(
        self, rows: pd.DataFrame, images: np.ndarray, reconstructions: np.ndarray, *, name: str | None = None
    ) -> None:
        self.rows = rows
        self.images = images
        self.reconstructions = reconstructions
        self.name = name

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, *, name: str | None = None) -> Self:
        """Make the Display from a fitted autoencoder.

        Parameters
        ----------
        estimator : ConvAutoencoder or VariationalAutoencoder
            Fitted.
        X : array-like of n_samples images
            A few images: see :func:`skcnn.images.as_images`.
        name : str or None, default=None
            Title.

        Returns
        -------
        ReconstructionDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator is not an autoencoder of skcnn.
        BadImageError
            If rows have no image.
        """
        _check_autoencoder(estimator)
        images = as_images(X, root=estimator.root)
        pixels, bad = decoded_images(images, estimator.image_size_, estimator.resize, estimator.max_pixels)
        if bad:
            raise BadImageError(bad_rows_frame(bad), len(images))
        rows = pd.DataFrame(
            {
                "row": np.arange(len(images)),
                "path": pd.Series([images.path(row) for row in range(len(images))], dtype=object),
                "error": estimator.reconstruction_error(images),
            }
        )
        taken = np.rint(255 * targets_of(pixels, estimator.n_channels_)).astype(np.uint8)
        found = estimator.inverse_transform(estimator.transform(images))
        return cls(rows, _in_colours(taken), _in_colours(found), name=name)

    def frame(self) -> pd.DataFrame:
        """Return the errors of the images.

        Returns
        -------
        DataFrame of shape (n_samples, 3)
            Columns "row" (position in X), "path" (None where X holds images) and "error" (mean squared error of pixels
            in [0, 1]).
        """
        return self.rows.copy()

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw each image, and to its right the image of its code, with the error below.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.

        Returns
        -------
        ReconstructionDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        groups = [
            Group([Cell(image, lines=[Line("image")]), Cell(found, lines=[Line("error", end=f"{error:.4f}")])])
            for image, found, error in zip(self.images, self.reconstructions, self.rows["error"], strict=True)
        ]
        self.ax_ = draw_grid(groups, nothing="There is no image.", name=self.name, ax=ax)
        self.figure_ = self.ax_.figure
        return self


def _check_autoencoder(estimator: Any) -> None:
    if not isinstance(estimator, BaseAutoencoder):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}; expected a fitted ConvAutoencoder or VariationalAutoencoder"
        )
    check_is_fitted(estimator)


def _edges(values: np.ndarray) -> tuple[float, float]:
    """Return where images begin and end whose centres are at these values."""
    half = (values[-1] - values[0]) / (2 * len(values) - 2) if len(values) > 1 else 0.5
    return float(values[0] - half), float(values[-1] + half)


def _in_colours(images: np.ndarray) -> np.ndarray:
    """Return images (n, height, width, 3)."""
    images = images[..., None] if images.ndim == 3 else images
    return np.broadcast_to(images, (*images.shape[:3], 3))
