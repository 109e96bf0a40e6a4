"""Ensembles of linear classifiers, for features that a network has extracted."""

from skcnn.ensemble._bagged_sgd import BaggedSGDClassifier

# What saved files and pickles call it.
BaggedSGDClassifier.__module__ = __name__

__all__ = ["BaggedSGDClassifier"]
