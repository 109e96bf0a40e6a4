"""Images of squares: bright on dark, at known places."""

import numpy as np
import pandas as pd
import pytest

COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax"]


@pytest.fixture
def squares():
    """Twelve images (48, 56, 3) with a red square of 16 pixels or none; boxes."""
    generator = np.random.default_rng(0)
    X = generator.integers(0, 40, (12, 48, 56, 3)).astype(np.uint8)
    y = []
    for row, image in enumerate(X):
        left, top = (int(generator.integers(0, room)) for room in (40, 32))
        boxes = [] if row % 4 == 3 else [["red", left, top, left + 16, top + 16]]
        for _, x0, y0, x1, y1 in boxes:
            image[y0:y1, x0:x1] = [230, 60, 60]
        y.append(pd.DataFrame(boxes, columns=COLUMNS))
    return X, y
