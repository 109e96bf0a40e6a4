import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn.metrics import ErrorGridDisplay

X = np.repeat(np.arange(5, dtype=np.uint8) * 40, 20 * 30 * 3).reshape(5, 20, 30, 3)
TRUE = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
PREDICTED = np.array([1.5, 2.0, 1.0, 4.1, 8.0])


def test_the_largest_errors_come_first_and_exact_ones_not_at_all():
    frame = ErrorGridDisplay.from_predictions(TRUE, PREDICTED, X=X).frame()
    assert list(frame.columns) == ["row", "path", "target", "true", "predicted", "error", "reason"]
    assert frame["row"].tolist() == [4, 2, 0, 3]
    np.testing.assert_allclose(frame["error"], [3, -2, 0.5, 0.1])
    assert frame["reason"].isna().all()
    assert ErrorGridDisplay.from_predictions(TRUE, PREDICTED, X=X, n_images=2).frame()["row"].tolist() == [4, 2]


def test_of_several_targets_the_one_that_is_the_most_wrong_in_its_own_unit():
    true = np.column_stack([TRUE, 1000 * TRUE])
    predicted = true + np.array([[0, 10], [0, 500], [1, 0], [0, 0], [0, 20]])
    frame = ErrorGridDisplay.from_predictions(true, predicted, X=X, target_names=["size", "weight"]).frame()
    assert frame[["row", "target", "error"]].to_numpy().tolist() == [
        [2, "size", 1],
        [1, "weight", 500],
        [4, "weight", 20],
        [0, "weight", 10],
    ]


def test_what_stands_below_an_image():
    display = ErrorGridDisplay.from_predictions(TRUE, PREDICTED, X=X, n_images=2, name="Ages")
    ax = display.plot().ax_
    assert [text.get_text() for text in ax.texts] == ["+3", "8", "true: ", "5", "\u22122", "1", "true: ", "3"]
    assert ax.get_title() == "Ages"
    assert len(ax.images) == 2
    two = ErrorGridDisplay.from_predictions(np.tile(TRUE, (2, 1)).T, np.tile(PREDICTED, (2, 1)).T, X=X, n_images=1)
    assert "target 0" in [text.get_text() for text in two.plot().ax_.texts]


def test_nothing_is_wrong():
    display = ErrorGridDisplay.from_predictions(TRUE, TRUE, X=X)
    assert display.frame().empty
    assert [text.get_text() for text in display.plot().ax_.texts] == ["Every number is predicted exactly."]


def test_targets_that_do_not_vary_are_shown_by_their_errors():
    frame = ErrorGridDisplay.from_predictions(np.ones(5), [1, 1, 3, 1, 2], X=X).frame()
    assert frame["row"].tolist() == [2, 4]


def test_images_are_data_uris_and_unreadable_ones_say_why(tmp_path):
    Image.fromarray(X[0]).save(tmp_path / "0.png")
    display = ErrorGridDisplay.from_predictions([1, 2], [2, 4], X=["0.png", "1.png"], root=tmp_path, size=15)
    shown = display.thumbnails()
    assert shown["row"].tolist() == [1, 0]
    assert shown["data_uri"][0] is None
    assert "1.png" in shown["path"][0]
    assert shown["reason"][0]
    image = Image.open(BytesIO(base64.b64decode(shown["data_uri"][1].partition(",")[2])))
    assert image.size == (15, 10) == (shown["width"][1], shown["height"][1])


def test_an_estimator_is_run_on_the_images():
    brightness = make_pipeline(FunctionTransformer(lambda X: np.asarray(X).mean(axis=(1, 2))), LinearRegression())
    y = X.mean(axis=(1, 2, 3))
    exact = ErrorGridDisplay.from_estimator(brightness.fit(X, y), X, y).frame()
    assert exact["error"].abs().max() < 1e-9 or exact.empty
    mean = DummyRegressor().fit(X, y)
    frame = ErrorGridDisplay.from_estimator(mean, X, y, target_names=["grey"], n_images=3).frame()
    assert frame["row"].tolist() == [0, 4, 1]
    assert set(frame["target"]) == {"grey"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_images": 0}, "n_images=0; expected an int >= 1"),
        ({"size": 1.5}, "size=1.5; expected an int >= 1"),
        ({"X": X[:3]}, "X has 3 images; expected 5, the number of samples"),
    ],
)
def test_errors_name_what_was_given(options, message):
    with pytest.raises(ValueError, match=message):
        ErrorGridDisplay.from_predictions(TRUE, PREDICTED, **{"X": X, **options})
