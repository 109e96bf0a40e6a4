"""How large layers may be that parameters ask for: a saved file must not fill the memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

#: Units or channels of a layer, components and classes.
MAX_UNITS = 2**14
#: Values that a layer may give per image.
MAX_VALUES = 2**28


def check_maps(shapes: Iterable[tuple[int, ...]], filters: Sequence[int], image_size: tuple[int, int]) -> None:
    """Raise an error where a layer would give too many values.

    Parameters
    ----------
    shapes : iterable of tuple of (height, width, channels)
        Of what each layer gives.
    filters : sequence of int
        The parameter that made them, for the message.
    image_size : tuple of (height, width)
        Of the image, in pixels.

    Raises
    ------
    ValueError
        If one has more than ``MAX_VALUES`` values.
    """
    for shape in shapes:
        if prod(shape) > MAX_VALUES:
            raise ValueError(
                f"A layer of filters={tuple(filters)} would give {prod(shape):,} values per image of "
                f"{image_size[0]} x {image_size[1]} pixels; expected at most {MAX_VALUES:,}. Use fewer filters, or a "
                "smaller image_size."
            )
