"""Data that the tests of the ensemble share."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


@pytest.fixture(scope="package")
def digits():
    """Train and test halves of scikit-learn's digits, with labels that are strings."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, np.array([f"digit {label}" for label in y]), random_state=0, stratify=y)
