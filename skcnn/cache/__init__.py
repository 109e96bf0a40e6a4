"""Caches of what networks compute for images, by the images' content.

A record is everything that one pass of an image through a network gives: the pooled outputs of all the bottleneck
layers that its table names. Its key is the network (weights, image size, precision ...) and a digest of the image's
content, so that order, batch size, duplicates, file names and cross-validation folds do not matter.
:class:`MemoryCache` keeps records for a process, :class:`FeatureCache` in a directory, permanently and for any number
of processes at once; both are used in the same way. :class:`ActivationCache` keeps what the frozen layers of a network
give while others are trained: large records, for which space is reserved in advance.
"""

from skcnn.cache._activations import ActivationCache, activation_cache
from skcnn.cache._base import CacheInfo, CacheWarning
from skcnn.cache._directory import FeatureCache, VerifyResult, as_cache
from skcnn.cache._memory import MemoryCache, memory_cache

__all__ = [
    "ActivationCache",
    "CacheInfo",
    "CacheWarning",
    "FeatureCache",
    "MemoryCache",
    "VerifyResult",
    "activation_cache",
    "as_cache",
    "memory_cache",
]
