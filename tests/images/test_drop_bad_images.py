"""Rows without an image are left out of X and y: of every type, warned about, never of one of the two alone."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from skcnn.ensemble import BaggedSGDClassifier
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import BadImageError, BadImageWarning, as_images, drop_bad_images
from tests.toy import TOY


@pytest.fixture
def paths(image_files, tmp_path) -> list[str]:
    """Six images with two bad rows among them, rows 1 and 4."""
    cut = tmp_path / "cut.png"
    cut.write_bytes(Path(image_files[0]).read_bytes()[:60])
    return [image_files[0], str(cut), *image_files[1:3], str(tmp_path / "none.png"), *image_files[3:]]


GOOD = [0, 2, 3, 5, 6, 7]
INDEX = list("abcdefgh")


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        np.array,
        lambda paths: np.array(paths, dtype=object)[:, None],
        lambda paths: pd.Series(paths, index=INDEX, name="path"),
        lambda paths: pd.DataFrame({"path": paths}, index=INDEX),
        lambda paths: pl.Series("path", paths),
        lambda paths: pl.DataFrame({"path": paths}),
    ],
)
def test_x_keeps_its_type(paths, form):
    given = form(paths)
    with pytest.warns(BadImageWarning):
        X, y = drop_bad_images(given)
    assert type(X) is type(given)
    assert y is None
    assert as_images(X).items == [paths[row] for row in GOOD]
    if hasattr(given, "iloc"):
        assert list(X.index) == [INDEX[row] for row in GOOD]
    if hasattr(given, "columns"):
        assert list(X.columns) == ["path"]
    if hasattr(given, "ndim"):
        assert X.ndim == given.ndim


@pytest.mark.parametrize(
    "form",
    [
        list,
        np.array,
        lambda y: np.eye(8)[y],
        lambda y: pd.Series(y, index=INDEX, name="label"),
        lambda y: pd.DataFrame({"a": y, "b": y}, index=INDEX),
    ],
)
def test_y_loses_the_same_rows(paths, form):
    given = form(list(range(8)))
    with pytest.warns(BadImageWarning):
        _, y = drop_bad_images(paths, given)
    assert type(y) is type(given)
    np.testing.assert_array_equal(np.asarray(y), np.asarray(given)[GOOD])
    if hasattr(given, "iloc"):
        assert list(y.index) == [INDEX[row] for row in GOOD]


def test_what_holds_pixels(images):
    X = [*images, None, np.zeros((4, 4, 5))]
    with pytest.warns(BadImageWarning, match="row 6: missing value\n  row 7: .*shape"):
        kept, y = drop_bad_images(X, "abcdefgh")
    assert all(one is other for one, other in zip(kept, X[:6], strict=True))
    assert y == list("abcdef")
    assert drop_bad_images(images)[0] is images
    with pytest.warns(BadImageWarning):
        assert len(drop_bad_images(as_images(X))[0]) == 6


def test_the_warning_names_row_path_and_count(paths):
    with pytest.warns(
        BadImageWarning, match=r"2 of 8 images cannot be used:\n  row 1: .*cut.png: .*\n  row 4: "
    ) as told:
        drop_bad_images(paths)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert list(told[0].message.bad_rows["row"]) == [1, 4]
    assert "These rows were left out." in str(told[0].message)


def test_good_ones_are_returned_as_they_are(image_files):
    y = list("abcdef")
    X, same = drop_bad_images(image_files, y)
    assert X is image_files
    assert same is y


def test_root_and_max_pixels(tmp_path, image_files, images):
    names = [path.rsplit("/", 1)[-1] for path in image_files]
    assert drop_bad_images(names, root=tmp_path)[0] is names
    large = np.zeros((41, 30, 3), np.uint8)
    with pytest.warns(BadImageWarning, match="row 6: "):
        kept, _ = drop_bad_images([*image_files, _png(large)], max_pixels=40 * 30)
    assert kept == image_files


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_errors(paths):
    with pytest.raises(ValueError, match="y has 7 rows and X 8"):
        drop_bad_images(paths, list("abcdefg"))
    with pytest.raises(BadImageError, match=r"(?s)2 of 2 images .*\nNo row is left\.") as caught:
        drop_bad_images([paths[1], paths[4]])
    assert list(caught.value.bad_rows["row"]) == [0, 1]
    with pytest.raises(TypeError, match="X is a single str"):
        drop_bad_images(paths[0])


def test_progress_is_shown_where_asked(image_files, capsys):
    drop_bad_images(image_files)
    assert capsys.readouterr().err == ""
    drop_bad_images(image_files, verbose=1)
    assert "checking" in capsys.readouterr().err


def test_the_way_out_of_a_pipeline(paths):
    X, y = pd.DataFrame({"path": paths}), np.array(list("abababab"))
    features = BottleneckFeatures(TOY, weights="toy", on_error="nan")
    for classifier, message in (
        (LogisticRegression(), "NaN"),
        (BaggedSGDClassifier(random_state=0), r"NaN in all features of 2 of 8 rows.*skcnn\.images\.drop_bad_images"),
    ):
        with (
            pytest.warns(
                BadImageWarning, match=r"(?s)row 1: .*before one, drop.*skcnn\.images\.drop_bad_images\(X, y\)"
            ),
            pytest.raises(ValueError, match=message),
        ):
            make_pipeline(features, classifier).fit(X, y)
    pipeline = make_pipeline(features.set_params(on_error="raise"), BaggedSGDClassifier(random_state=0))
    with pytest.raises(BadImageError, match=r"skcnn\.images\.drop_bad_images\(X, y\)"):
        pipeline.fit(X, y)
    with pytest.warns(BadImageWarning):
        X, y = drop_bad_images(X, y)
    assert np.isfinite(cross_val_score(pipeline, X, y, cv=2)).all()


def test_a_single_nan_is_no_image():
    X = np.random.default_rng(0).normal(size=(20, 4))
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN") as caught:
        BaggedSGDClassifier().fit(X, np.arange(20) % 2)
    assert "drop_bad_images" not in str(caught.value)
