"""GeneratorReport: how good generated images are, as one object."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from skcnn._text import count_text, label_text, metric_text, percent_text
from skcnn.images import as_images
from skcnn.metrics import ClassCoverageDisplay
from skcnn.report._displays import drawn_together
from skcnn.report._generator_findings import Generated, GeneratorFindings
from skcnn.report._origin import name_of
from skcnn.report._report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike
    from sklearn.base import TransformerMixin

#: Images generated where no other number is asked for: as many as there are real ones, within these.
_FEWEST, _MOST = 200, 1000


class GeneratorReport(Report):
    """The evaluation of a generator on images that it was not fitted on.

    What :class:`ClassifierReport` is for classes. Make it with :meth:`from_estimator` or :meth:`from_features`;
    ``print`` it, show it in a notebook, take its tables, draw it, or write it as one HTML page.

    Parameters
    ----------
    generated : Generated
        Features and labels, as the two constructors make them.
    name : str
        What the report calls the generator.
    estimator : estimator or None, default=None
        The generator, if that is known.
    X : array-like of length n_images or None, default=None
        The real images, if they are known.

    Attributes
    ----------
    name : str
        What the report calls the generator.
    n_samples : int
        Number of real images.
    sample_weight : None
        Images have no weights.
    headline : Series of shape (5,)
        The metrics of :func:`skcnn.metrics.generation_frame`.
    headline_labels : dict of str to str
        What they are called in print.
    class_frame : DataFrame of shape (n_classes, 7) or None
        How often each class is generated: see :func:`skcnn.metrics.class_coverage_frame`. None without labels.
    copies : DataFrame of shape (n_generated, 4) or None
        Nearest images of the training set: see :func:`skcnn.metrics.training_copies`. None where it is not known.
    as_asked : float or None
        Fraction of the images that are recognised as the class asked for; None where none was.
    notes : list of str
        What one has to know about the metrics.
    summary : str
        The report in a few sentences.
    provenance : dict of str to str
        How the report was made: time, samples, estimator, digests of the data, versions.
    parameters : dict of str to str
        All parameters of the generator, by name; empty where it is not known.

    See Also
    --------
    skcnn.generative.ImageGAN : A generator.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.report import GeneratorReport
    >>> generator = np.random.default_rng(0)
    >>> X = generator.normal(size=(300, 4))
    >>> report = GeneratorReport.from_features(X, generator.normal(size=(300, 4)), name="perfect")
    >>> report.headline["kernel_distance"].round(2)
    0.0
    """

    _findings: GeneratorFindings

    def __init__(self, generated: Generated, *, name: str, estimator: Any = None, X: Any = None) -> None:
        super().__init__()
        self._findings = GeneratorFindings.about(generated, name=name, estimator=estimator, X=X)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        features: TransformerMixin,
        X_training: ArrayLike | None = None,
        classifier: Any = None,
        n_generated: int | None = None,
        random_state: int | np.random.RandomState | None = 0,
        name: str | None = None,
    ) -> Self:
        """Make the report of a fitted generator.

        Parameters
        ----------
        estimator : estimator
            Fitted, with a method ``sample``: an :class:`~skcnn.generative.ImageGAN` or a
            :class:`~skcnn.decomposition.VariationalAutoencoder`.
        X : array-like of n_images images
            That it was not fitted on: see :func:`skcnn.images.as_images`.
        y : array-like of shape (n_images,) or None, default=None
            Their labels. A conditional generator is asked for these, again and again.
        features : transformer
            Makes features of images, such as :class:`~skcnn.feature_extraction.BottleneckFeatures`.
        X_training : array-like of images or None, default=None
            Images that it was fitted on, for copies, and for the metrics of real images.
        classifier : classifier or None, default=None
            Fitted; takes images. Which classes it finds among generated images is compared with y.
        n_generated : int or None, default=None
            Number of generated images. None is as many as in X, at least 200 and at most 1,000.
        random_state : int, RandomState instance or None, default=0
            Seed of the generated images.
        name : str or None, default=None
            What the report calls the generator. None takes the name of its class.

        Returns
        -------
        GeneratorReport
            The report.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no ``sample``.
        ValueError
            If features do not fit, or lengths differ.
        """
        if not hasattr(estimator, "sample"):
            raise TypeError(f"estimator is a {type(estimator).__name__}, which has no sample; expected a generator.")
        n_real = len(as_images(X))
        if y is not None and len(np.asarray(y)) != n_real:
            raise ValueError(f"y has {len(np.asarray(y))} labels and X {n_real} images; expected one label per image.")
        n_generated = int(np.clip(n_real, _FEWEST, _MOST)) if n_generated is None else n_generated
        asked = None
        if y is not None and hasattr(estimator, "classes_"):
            asked = np.resize(np.asarray(y), n_generated)
            images = estimator.sample(n_generated, asked, random_state=random_state)
        else:
            images = estimator.sample(n_generated, random_state=random_state)
        generated = Generated(
            real=np.asarray(features.transform(X)),
            generated=np.asarray(features.transform(images)),
            training=None if X_training is None else np.asarray(features.transform(X_training)),
            y_real=y,
            y_generated=None if classifier is None else classifier.predict(images),
            y_asked=asked,
            images=images,
            features=label_text(name_of(features)),
        )
        return cls(generated, name=name or name_of(estimator), estimator=estimator, X=X)

    @classmethod
    def from_features(
        cls,
        X_real: ArrayLike,
        X_generated: ArrayLike,
        *,
        X_training: ArrayLike | None = None,
        y_real: ArrayLike | None = None,
        y_generated: ArrayLike | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the report from features of images.

        Parameters
        ----------
        X_real, X_generated : array-like of shape (n_real, n_features), and (n_generated, n_features)
            Features of real images that the generator was not fitted on, and of generated ones.
        X_training : array-like of shape (n_training, n_features) or None, default=None
            Features of images that it was fitted on.
        y_real, y_generated : array-like of shape (n_real,), and (n_generated,), or None, default=None
            Labels of real images, and those that a classifier predicts for generated ones.
        name : str or None, default=None
            What the report calls the generator. None says "Generator".

        Returns
        -------
        GeneratorReport
            The report.

        Raises
        ------
        ValueError
            If features do not fit.
        """
        arrays = [None if X is None else np.asarray(X, np.float64) for X in (X_real, X_generated, X_training)]
        assert arrays[0] is not None
        assert arrays[1] is not None
        generated = Generated(arrays[0], arrays[1], arrays[2], y_real=y_real, y_generated=y_generated)
        return cls(generated, name=name or "Generator")

    @property
    def class_frame(self) -> pd.DataFrame | None:
        """How often each class is generated."""
        frame = self._findings.class_frame
        return None if frame is None else frame.copy()

    @property
    def copies(self) -> pd.DataFrame | None:
        """Nearest images of the training set."""
        frame = self._findings.copies
        return None if frame is None else frame.copy()

    @property
    def as_asked(self) -> float | None:
        """Fraction of the images that are recognised as the class asked for."""
        return self._findings.as_asked

    def plot(self) -> Self:
        """Draw metrics beside those of real images and, where they are known, fractions of classes in one figure.

        Returns
        -------
        GeneratorReport
            Itself, with the attributes ``axes_`` (an array) and ``figure_``.
        """
        draw: list[Callable[[Any], Any]] = [self._draw_metrics]
        if (display := self.coverage_display()) is not None:
            draw.append(display.plot)
        self.figure_, self.axes_ = drawn_together(draw, self._findings.name)
        return self

    def coverage_display(self) -> ClassCoverageDisplay | None:
        """Return the Display of the fractions of classes.

        Returns
        -------
        ClassCoverageDisplay or None
            Not drawn yet; None without labels.
        """
        frame = self.class_frame
        return None if frame is None else ClassCoverageDisplay(frame)

    def _draw_metrics(self, ax: Axes) -> None:
        """Draw precision, recall and coverage of generated images, and of real ones."""
        from skcnn._plot.theme import REST, SERIES

        table = self._findings.headline_frame.loc[["precision", "recall", "coverage"]]
        places = np.arange(len(table))
        ax.bar(places - 0.2, table["value"], 0.38, color=SERIES[0], label="generated", zorder=2)
        ax.bar(places + 0.2, table["real"], 0.38, color=REST, label="real", zorder=2)
        ax.set_xticks(places, [self.headline_labels[metric] for metric in table.index])
        ax.set(ylim=(0, 1.2), ylabel="Fraction of images")
        ax.legend(ncols=2, loc="upper right")

    def _intervals(
        self, *, confidence_level: float, n_resamples: int, random_state: int | None, n_jobs: int | None
    ) -> pd.DataFrame:
        return self._findings.generation_frame(
            confidence_level=confidence_level, n_resamples=n_resamples, random_state=random_state
        )

    def _tables(self) -> list[str]:
        findings = self._findings
        table = findings.headline_frame
        labels = findings.headline_labels
        width = max(map(len, labels.values()))
        lines = ["", "Real images in place of generated ones:"]
        lines += [f"{labels[metric]:<{width}}  {metric_text(value):>6}" for metric, value in table["real"].items()]
        classes = findings.class_frame
        if classes is not None:
            written = pd.DataFrame(
                {
                    "generated": classes["generated_fraction"].round(3).map(percent_text),
                    "real": classes["real_fraction"].round(3).map(percent_text),
                    "images": classes["count"].map(count_text),
                }
            )
            written.index = pd.Index([label_text(label, 32) for label in classes.index], name="class")
            lines += ["", written.reset_index().to_string(index=False, justify="right")]
        return lines

    def _page(self, frame: pd.DataFrame, n_images: int) -> str:
        from skcnn.report._generator_page import render_generator_report

        return render_generator_report(self._findings, self.coverage_display(), frame, n_images=n_images)

    def _part(self, frame: pd.DataFrame) -> str:
        from skcnn.report._generator_page import render_generator_for_notebook

        return render_generator_for_notebook(self._findings, self.coverage_display(), frame)
