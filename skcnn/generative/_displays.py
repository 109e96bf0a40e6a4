"""Displays of generated images: a grid by class, the way from one code to another, and how a fit went."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skcnn._plot.mosaic import gap_between, side_by_side
from skcnn._plot.theme import MUTED, SERIES, new_axes
from skcnn._text import label_text
from skcnn.generative._image_gan import ImageGAN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

#: Inches of an image in a new figure.
_INCHES = 0.55


class GeneratedImagesDisplay:
    """Generated images in a grid, with one row per class if the GAN is conditional.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n_rows, n_columns, height, width, 3) or (n_rows, n_columns, height, width), uint8
        Row by row.
    classes : sequence of length n_rows or None, default=None
        The class of each row.
    name : str or None, default=None
        Title.

    See Also
    --------
    InterpolationDisplay : The way from one image to another.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn.generative import GeneratedImagesDisplay, ImageGAN
    >>> X, y = load_digits().images * (255 / 16), load_digits().target
    >>> gan = ImageGAN(conditional=True, epochs=2, n_evaluations=0, random_state=0).fit(X[:200], y[:200])
    >>> display = GeneratedImagesDisplay.from_estimator(gan, n_columns=5)
    >>> display.images.shape
    (10, 5, 8, 8)
    >>> figure = display.plot().figure_
    """

    def __init__(self, images: np.ndarray, *, classes: ArrayLike | None = None, name: str | None = None) -> None:
        self.images = images
        self.classes = classes
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: ImageGAN,
        *,
        n_rows: int | None = None,
        n_columns: int = 8,
        random_state: int | np.random.RandomState | None = 0,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted GAN.

        Parameters
        ----------
        estimator : ImageGAN
            Fitted.
        n_rows : int or None, default=None
            Number of rows. None is one per class, up to 20, or as many as there are columns.
        n_columns : int, default=8
            Number of images per row.
        random_state : int, RandomState instance or None, default=0
            Seed of the codes.
        name : str or None, default=None
            Title.

        Returns
        -------
        GeneratedImagesDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator is not an ImageGAN.
        ValueError
            If a number is not an int of at least 1, or there are fewer classes than rows.
        """
        _check_gan(estimator)
        classes = getattr(estimator, "classes_", None)
        if n_rows is None:
            n_rows = n_columns if classes is None else min(20, len(classes))
        for number, called in ((n_rows, "n_rows"), (n_columns, "n_columns")):
            _check_number(number, called, 1)
        shown = None
        if classes is not None:
            if n_rows > len(classes):
                raise ValueError(f"n_rows={n_rows}; expected at most one per class, {len(classes)}.")
            shown = classes[:n_rows]
        asked = None if shown is None else np.repeat(shown, n_columns)
        images = estimator.sample(n_rows * n_columns, asked, random_state=random_state)
        return cls(images.reshape(n_rows, n_columns, *images.shape[1:]), classes=shown, name=name)

    def frame(self) -> pd.DataFrame:
        """Return where each image is.

        Returns
        -------
        DataFrame of shape (n_rows * n_columns, 3)
            Columns "row", "column" and "class" (None where images have no classes), in the order of ``images``.
        """
        n_rows, n_columns = self.images.shape[:2]
        classes = [None] * n_rows if self.classes is None else list(np.asarray(self.classes))
        return pd.DataFrame(
            {
                "row": np.repeat(np.arange(n_rows), n_columns),
                "column": np.tile(np.arange(n_columns), n_rows),
                "class": [label for label in classes for _ in range(n_columns)],
            }
        )

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the images side by side.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.

        Returns
        -------
        GeneratedImagesDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        labels = None if self.classes is None else [label_text(label, 16) for label in np.asarray(self.classes)]
        self.ax_ = _draw(self.images, ax, labels, None, self.name)
        self.figure_ = self.ax_.figure
        return self


class InterpolationDisplay:
    """Images of codes between two random codes, in several rows: with a trained generator, they change gradually.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n_rows, n_steps, height, width, 3) or (n_rows, n_steps, height, width), uint8
        From one image to another, row by row.
    fractions : ndarray of shape (n_steps,), float64
        Position of each image between the two ends, in [0, 1].
    name : str or None, default=None
        Title.

    See Also
    --------
    GeneratedImagesDisplay : Images of random codes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn.generative import ImageGAN, InterpolationDisplay
    >>> X = load_digits().images * (255 / 16)
    >>> gan = ImageGAN(epochs=2, n_evaluations=0, random_state=0).fit(X[:200])
    >>> display = InterpolationDisplay.from_estimator(gan, n_rows=3, n_steps=6)
    >>> display.images.shape
    (3, 6, 8, 8)
    >>> figure = display.plot().figure_
    """

    def __init__(self, images: np.ndarray, fractions: np.ndarray, *, name: str | None = None) -> None:
        self.images = images
        self.fractions = fractions
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: ImageGAN,
        y: Any = None,
        *,
        n_rows: int = 6,
        n_steps: int = 9,
        random_state: int | np.random.RandomState | None = 0,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted GAN.

        Parameters
        ----------
        estimator : ImageGAN
            Fitted.
        y : label, array-like of shape (n_rows,) or None, default=None
            The class of the images of all rows, or of each row. None takes the classes in turn, if there are any.
        n_rows : int, default=6
            Number of pairs of codes.
        n_steps : int, default=9
            Images per row, both ends included; at least 2.
        random_state : int, RandomState instance or None, default=0
            Seed of the codes.
        name : str or None, default=None
            Title.

        Returns
        -------
        InterpolationDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator is not an ImageGAN.
        ValueError
            If a number is too small, or y is not of its classes.

        Notes
        -----
        Codes follow great circles between both ends, and their lengths change linearly. Codes on a straight line would
        be shorter than nearly all codes that the generator was trained on.
        """
        _check_gan(estimator)
        _check_number(n_rows, "n_rows", 1)
        _check_number(n_steps, "n_steps", 2)
        if hasattr(estimator, "classes_") and y is None:
            y = np.resize(estimator.classes_, n_rows)
        asked = y if y is None or np.ndim(y) == 0 else np.repeat(np.asarray(y), n_steps)
        n_components = estimator.generator_.inputs[0].shape[-1]
        first, last = check_random_state(random_state).standard_normal((2, n_rows, 1, n_components))
        fractions = np.linspace(0, 1, n_steps)
        codes = on_great_circles(first, last, fractions[:, None])
        images = estimator.generate(codes.reshape(-1, n_components), asked)
        return cls(images.reshape(n_rows, n_steps, *images.shape[1:]), fractions, name=name)

    def frame(self) -> pd.DataFrame:
        """Return where each image is.

        Returns
        -------
        DataFrame of shape (n_rows * n_steps, 2)
            Columns "row" and "fraction", in the order of ``images``.
        """
        n_rows = len(self.images)
        return pd.DataFrame(
            {
                "row": np.repeat(np.arange(n_rows), len(self.fractions)),
                "fraction": np.tile(self.fractions, n_rows),
            }
        )

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the images side by side.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.

        Returns
        -------
        InterpolationDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        self.ax_ = _draw(self.images, ax, None, [f"{fraction:.2g}" for fraction in self.fractions], self.name)
        self.figure_ = self.ax_.figure
        return self


class GenerationHistoryDisplay:
    """The history of a GAN: a metric by epoch, and above it images that were generated during training.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    history : DataFrame of shape (n_epochs, n_columns)
        ``history_`` of the GAN.
    images : ndarray of shape (n_evaluations, n_images, height, width, 3) or without the 3, uint8, or None
        Images of the same codes, after each epoch in which images were compared.
    name : str or None, default=None
        Title.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn.generative import GenerationHistoryDisplay, ImageGAN
    >>> X = load_digits().images * (255 / 16)
    >>> gan = ImageGAN(epochs=40, n_evaluations=4, random_state=0).fit(X[:400])
    >>> display = GenerationHistoryDisplay.from_estimator(gan)
    >>> display.images.shape
    (4, 8, 8, 8)
    >>> figure = display.plot().figure_
    """

    def __init__(self, history: pd.DataFrame, images: np.ndarray | None = None, *, name: str | None = None) -> None:
        self.history = history
        self.images = images
        self.name = name

    @classmethod
    def from_estimator(cls, estimator: ImageGAN, *, name: str | None = None) -> Self:
        """Make the Display from a fitted GAN.

        Parameters
        ----------
        estimator : ImageGAN
            Fitted.
        name : str or None, default=None
            Title.

        Returns
        -------
        GenerationHistoryDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator is not an ImageGAN.
        """
        _check_gan(estimator)
        return cls(estimator.history_, estimator.snapshots_, name=name)

    def frame(self) -> pd.DataFrame:
        """Return the history.

        Returns
        -------
        DataFrame
            A copy of ``history``.
        """
        return self.history.copy()

    def plot(self, ax: Axes | None = None, *, metric: str | None = None) -> Self:
        """Draw a metric by epoch, and above it the images of the epochs in which images were compared.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.
        metric : str or None, default=None
            A column of the history, such as "diversity" or "generator_loss". None is "kernel_distance", or
            "discriminator_loss" if images were not compared.

        Returns
        -------
        GenerationHistoryDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.

        Raises
        ------
        ValueError
            If the history has no such metric.
        """
        from matplotlib.ticker import MaxNLocator

        metrics = [column for column in self.history if column != "epoch"]
        if metric is None:
            metric = "kernel_distance" if "kernel_distance" in metrics else "discriminator_loss"
        if metric not in metrics:
            raise ValueError(f"metric={metric!r}; expected a column of the history: {', '.join(map(repr, metrics))}.")
        if ax is None:
            ax = new_axes(7.0, 3.5 if self.images is None else 5.0)
        shown = self.history[["epoch", metric]].dropna()
        ax.plot(shown["epoch"], shown[metric], color=SERIES[0], linewidth=1.6, marker=".", zorder=3)
        ax.set(xlabel="Epoch", ylabel=metric.replace("_", " ").capitalize())
        ax.set_xlim(0.5, float(self.history["epoch"].max()) + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if self.images is not None:
            self._draw_images(ax)
        if self.name:
            ax.set_title(self.name, parse_math=False, pad=8 if self.images is None else None)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_images(self, ax: Axes) -> None:
        """Draw a column of images for each epoch that has some, in axes of their own within the upper half."""
        assert self.images is not None
        column = "kernel_distance" if "kernel_distance" in self.history else "epoch"
        epochs = self.history.loc[self.history[column].notna(), "epoch"].to_numpy()[-len(self.images) :]
        low, high = ax.get_ylim()
        ax.set_ylim(low, low + 2.1 * (high - low))
        inner = ax.inset_axes((0.0, 0.5, 1.0, 0.42))
        inner.set_axis_off()
        _imshow(inner, self.images.swapaxes(0, 1)[:4])
        height, width = self.images.shape[2:4]
        gap = gap_between(height, width)
        for number, epoch in enumerate(epochs):
            inner.text(
                number * (width + gap) + width / 2, -0.15 * height, f"{epoch}", ha="center", va="bottom", fontsize=7,
                color=MUTED,
            )  # fmt: skip


def on_great_circles(first: np.ndarray, last: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Return codes between others, (..., n_components): directions at a constant speed, and lengths likewise."""
    lengths = [np.linalg.norm(codes, axis=-1, keepdims=True) for codes in (first, last)]
    one, other = first / lengths[0], last / lengths[1]
    angle = np.arccos(np.clip((one * other).sum(axis=-1, keepdims=True), -1, 1))
    sine = np.maximum(np.sin(angle), 1e-12)
    turned = (np.sin((1 - fractions) * angle) * one + np.sin(fractions * angle) * other) / sine
    directions = np.where(np.sin(angle) < 1e-6, (1 - fractions) * one + fractions * other, turned)
    return ((1 - fractions) * lengths[0] + fractions * lengths[1]) * directions


def _draw(
    images: np.ndarray, ax: Axes | None, rows: list[str] | None, columns: list[str] | None, name: str | None
) -> Axes:
    """Draw images (n_rows, n_columns, height, width, ...) side by side, with labels of rows and columns."""
    n_rows, n_columns, height, width = images.shape[:4]
    if ax is None:
        ax = new_axes(_INCHES * n_columns + 0.8, _INCHES * n_rows * height / width + 0.6)
    _imshow(ax, images)
    ax.grid(visible=False)
    gap = gap_between(height, width)
    ax.set_yticks(
        [row * (height + gap) + height / 2 for row in range(n_rows)] if rows else [], rows or [], parse_math=False
    )
    ax.set_xticks([column * (width + gap) + width / 2 for column in range(n_columns)] if columns else [], columns or [])
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if name:
        ax.set_title(name, parse_math=False)
    return ax


def _imshow(ax: Axes, images: np.ndarray) -> None:
    ax.imshow(side_by_side(images), cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def _check_gan(estimator: Any) -> None:
    if not isinstance(estimator, ImageGAN):
        raise TypeError(f"estimator is a {type(estimator).__name__}; expected a fitted ImageGAN")
    check_is_fitted(estimator)


def _check_number(value: Any, name: str, fewest: int) -> None:
    if not isinstance(value, Integral) or value < fewest:
        raise ValueError(f"{name}={value!r}; expected an int >= {fewest}.")
