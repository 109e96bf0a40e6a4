"""Natural order: '2' before '10'."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"(\d+)")


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a sort key under which runs of digits compare as numbers: '2' before '10', 's2' before 's10'.

    Names without digits keep the order of ``sorted`` and so of ``classes_`` in scikit-learn (capitals first).
    """
    # The split alternates text and digits, starting with text: strings only ever meet strings, numbers only numbers.
    parts: list[str | int] = [int(part) if position % 2 else part for position, part in enumerate(_DIGITS.split(name))]
    return parts, name  # the name itself decides between '01' and '1'
