"""Where a report comes from, whatever it is about: estimator, samples, their images, time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np

from skcnn._text import counted
from skcnn.images import ImageDigests, Images, as_images
from skcnn.metrics.parts import root_of
from skcnn.report._provenance import digest_of_input, parameters_of

#: Rows that are looked at to find out whether X holds images.
_LOOKED_AT = 32


@dataclass(frozen=True, eq=False)
class Origin:
    """What a report knows of the estimator and its samples. Made by `of`."""

    name: str
    """What the report calls the estimator."""
    n_samples: int
    """Number of samples that were given."""
    estimator: str
    """The estimator as text, as a report does not keep a model in memory; "" where it is not known."""
    parameters: dict[str, str]
    """All parameters of the estimator, by name."""
    X: Any
    """What the predictions were made from, or None."""
    root: Any
    """Folder that relative paths in X start from, or None."""
    training_images: ImageDigests | None
    """What the estimator was trained on, if a saved model said so."""
    created: datetime
    """When the report was made."""

    @classmethod
    def of(cls, estimator: Any, X: Any, *, name: str, n_samples: int) -> Origin:
        """Take down what is known of an estimator and its samples; None where one of them is not known."""
        return cls(
            name=name,
            n_samples=n_samples,
            estimator="" if estimator is None else repr(estimator),
            parameters=parameters_of(estimator),
            X=X,
            root=root_of(estimator),
            training_images=getattr(estimator, "training_images_", None),
            created=datetime.now(UTC),
        )

    @cached_property
    def images(self) -> Images | None:
        """X, where it holds images: a report is of use to estimators of numbers and of texts, too."""
        try:
            images = as_images(self.X, root=self.root)
        except (TypeError, ValueError):
            return None
        if len(images) != self.n_samples:
            return None
        # Spread over all rows: the first ones may be broken.
        looked_at = np.unique(np.linspace(0, len(images) - 1, _LOOKED_AT).astype(int)).tolist()
        return images if any(_is_image(images, row) for row in looked_at) else None

    @cached_property
    def n_trained_on(self) -> int | None:
        """How many of the images the estimator was trained on; None where that is not known."""
        if self.training_images is None or self.images is None:
            return None
        return int(self.training_images.contain(self.images).sum())

    @property
    def training_note(self) -> str:
        """A sentence about images that the estimator was trained on; "" where there are none."""
        if not self.n_trained_on:
            return ""
        of_all = f"{self.n_trained_on:,} of {counted(self.n_samples, 'image')}"
        return f"{of_all} were in the training set, so these metrics are too optimistic for new images."

    @cached_property
    def digest_of_input(self) -> str:
        """A digest of X, or why there is none: a phrase."""
        return "none: X was not given" if self.X is None else digest_of_input(self.X)


def images_of(X: Any, n_samples: int) -> Images | None:
    """Return what was given as X beside predictions as images, once it is known that there is one per sample."""
    images = None if X is None else as_images(X)
    if images is not None and len(images) != n_samples:
        raise ValueError(f"X has {len(images)} images; expected {n_samples}, one per sample.")
    return images


def name_of(estimator: Any) -> str:
    """Return what a report calls an estimator: the name of its class, or of the steps of a pipeline."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    steps = [step for _, step in getattr(estimator, "steps", [("", estimator)]) if step not in (None, "passthrough")]
    return " + ".join(type(step).__name__ for step in steps)


def _is_image(images: Images, row: int) -> bool:
    try:
        images.thumbnail(row, 8)
    except (OSError, TypeError, ValueError):
        return False
    return True
