"""The memory of what a network has already said about an image, by the image's content.

A record is everything that one pass of an image through a network gives: the pooled outputs of all the bottleneck
layers that its table names. It is filed under what the network is (weights, image size, precision ...) and under a
digest of the image's content, so that order, batch size, duplicates, file names and cross-validation folds do not
matter. :class:`MemoryCache` keeps records for a process, :class:`FeatureCache` in a directory, for good and for any
number of processes at once; both are used in the same way. :class:`ActivationCache` keeps what the frozen layers of a
network give while others are trained: large records, whose room is reserved before they come.
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
