"""The 1,000 classes of ImageNet, in the order of the outputs of the networks of ``keras.applications``."""

from __future__ import annotations

from collections import Counter
from functools import cache
from importlib.resources import files

import numpy as np

_FILE = "imagenet_classes.txt"


@cache
def imagenet_classes() -> tuple[np.ndarray, np.ndarray]:
    """Return the names and the WordNet identifiers of the classes.

    A name is the first word of the class in WordNet. Where several classes have the same one, the identifier follows
    in brackets, so that names are unique: "crane (n02012849)" is the bird, and "crane (n03126707)" the machine.

    Returns
    -------
    names, wnids : ndarray of shape (1000,), str
        Read-only.
    """
    lines = files("skcnn.neural_network").joinpath(_FILE).read_text(encoding="utf-8").splitlines()
    wnids, words = zip(*(line.split(" ", 1) for line in lines), strict=True)
    counts = Counter(words)
    names = [word if counts[word] == 1 else f"{word} ({wnid})" for word, wnid in zip(words, wnids, strict=True)]
    found = np.array(names), np.array(wnids)
    for array in found:
        array.flags.writeable = False
    return found
