"""Features of very many images: in parts, by one process or by many, resumed where they stopped.

:func:`extract_parts` cuts X into parts and writes the features of each to a file, by the process that has computed
them. What is written stays: after an interruption, the same call writes what is missing. :func:`load_features` reads
the parts, one at a time, in random order or as one array.
"""

from skcnn.distributed._extract_parts import extract_parts
from skcnn.distributed._parts import FeatureParts, load_features
from skcnn.distributed._shuffled import ShuffledFeatures

__all__ = ["FeatureParts", "ShuffledFeatures", "extract_parts", "load_features"]
