"""Videos that the tests of trackers share."""

import pytest
from squares import squares


@pytest.fixture(scope="module")
def four_videos():
    made = [squares(seed) for seed in range(4)]
    return [found for found, _ in made], [true for _, true in made]
