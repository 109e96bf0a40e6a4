"""The check of X that all estimators of images use, and their tags for scikit-learn."""

from __future__ import annotations

import copy
from typing import Any, Self

from sklearn.utils import Tags
from sklearn.utils.validation import validate_data

from skcnn._keras import is_keras_model
from skcnn.images import Images, as_images


class ImageInputMixin:
    """Mixin of estimators whose X is one column of images; they have a parameter ``root``."""

    def _check_input(self, X: Any, *, reset: bool) -> Images:
        """Check the parameters and the form of X, and with ``reset`` set what ``fit`` learns of it."""
        self._validate_params()  # type: ignore[attr-defined]
        images = as_images(X, root=self.root)  # type: ignore[attr-defined]
        if not len(images):
            raise ValueError("X holds no images: Found array with 0 sample(s), while a minimum of 1 is required.")
        if reset:
            for name in ("n_features_in_", "feature_names_in_"):
                self.__dict__.pop(name, None)
        if hasattr(X, "columns") and (reset or hasattr(self, "feature_names_in_")):
            validate_data(self, X, reset=reset, skip_check_array=True)
        elif reset and len(getattr(X, "shape", ())) == 2:
            self.n_features_in_ = 1
        return images

    def __sklearn_clone__(self) -> Self:
        """Clone as scikit-learn does, but share a Keras model: it is never changed, and not every one can be copied."""
        shared = {name: value for name, value in self.get_params(deep=False).items() if is_keras_model(value)}  # type: ignore[attr-defined]
        rest = copy.copy(self).set_params(**dict.fromkeys(shared)) if shared else self  # type: ignore[attr-defined]
        return super(ImageInputMixin, rest).__sklearn_clone__().set_params(**shared)  # type: ignore[misc]

    def __sklearn_tags__(self) -> Tags:
        """Return the tags by which scikit-learn knows what X may be."""
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags
