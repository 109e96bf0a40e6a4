"""scikit-learn's digits as images."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.utils import Bunch


def load_digit_images(*, size: int = 32, return_X_y: bool = False) -> Any:
    """Load scikit-learn's handwritten digits as RGB images: real data that needs no download.

    The 8 x 8 grey levels of :func:`sklearn.datasets.load_digits` (0 to 16) become 0 to 255, are resized with Pillow's
    bilinear filter, and are repeated in the three channels.

    Parameters
    ----------
    size : int, default=32
        Height and width of the images in pixels. 32 is what the networks for CIFAR-10 take, such as ResNet20.

    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    digits : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : ndarray of shape (1797, size, size, 3), dtype uint8
            The images, in [0, 255].
        target : ndarray of shape (1797,), dtype int
            The digit that each shows.
        target_names : list of int
            The digits 0 to 9.
        DESCR : str
            The description of the data set, with its source.

    (data, target) : tuple if ``return_X_y=True``
        The two arrays described above.

    Raises
    ------
    ValueError
        If ``size`` is not an integer of at least 1.

    See Also
    --------
    sklearn.datasets.load_digits : The same digits as numbers.

    References
    ----------
    .. [1] E. Alpaydin, C. Kaynak. `Optical Recognition of Handwritten Digits. UCI Machine Learning Repository, 1998
           <https://doi.org/10.24432/C50P49>`_.

    Examples
    --------
    >>> from skcnn.datasets import load_digit_images
    >>> digits = load_digit_images()
    >>> digits.data.shape, digits.data.dtype, digits.target[:3]
    ((1797, 32, 32, 3), dtype('uint8'), array([0, 1, 2]))
    """
    if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
        raise ValueError(f"size must be an integer of at least 1 (pixels), got {size!r}.")
    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    shape = (int(size), int(size))
    resized = np.stack([np.asarray(Image.fromarray(image).resize(shape, Image.Resampling.BILINEAR)) for image in grey])
    data = np.repeat(resized[..., np.newaxis], 3, axis=-1)
    if return_X_y:
        return data, digits.target
    return Bunch(data=data, target=digits.target, target_names=digits.target_names.tolist(), DESCR=digits.DESCR)
