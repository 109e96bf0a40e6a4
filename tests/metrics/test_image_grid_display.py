import base64
import warnings
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn.images import Images, as_images
from skcnn.metrics import ImageGridDisplay

CLASSES = ["ape", "bat", "cat"]
# Rows 1, 2 and 4 are wrong, by 0.8, 0.1 and 0.4.
Y_TRUE = ["ape", "ape", "bat", "cat", "cat", "bat"]
Y_SCORE = np.array(
    [[0.8, 0.1, 0.1], [0.1, 0.9, 0.0], [0.5, 0.4, 0.1], [0.0, 0.1, 0.9], [0.6, 0.2, 0.2], [0.3, 0.7, 0.0]]
)
X = np.repeat(np.arange(6, dtype=np.uint8) * 40, 20 * 30 * 3).reshape(6, 20, 30, 3)


def display_of(kind: str = "worst_errors", **options) -> ImageGridDisplay:
    return ImageGridDisplay.from_predictions(Y_TRUE, Y_SCORE, **{"X": X, "classes": CLASSES, "kind": kind, **options})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for row, pixels in enumerate(X):
        Image.fromarray(pixels).save(tmp_path / f"{row}.png")
    return tmp_path


def test_worst_errors_are_those_furthest_ahead_of_the_true_class():
    frame = display_of().frame()
    assert frame["row"].tolist() == [1, 4, 2]
    assert frame["predicted"].tolist() == ["bat", "ape", "ape"]
    assert frame["true"].tolist() == ["ape", "cat", "bat"]
    assert frame["predicted_score"].tolist() == [0.9, 0.6, 0.5]
    assert frame["true_score"].tolist() == [0.1, 0.2, 0.4]
    assert frame["path"].isna().all()
    assert frame["reason"].isna().all()
    assert display_of(n_images=2).frame()["row"].tolist() == [1, 4]


def test_the_lead_counts_and_not_the_score():
    # Of scores that are no probabilities, 5 against 4.9 is closer than 1 against -3.
    score = np.array([[5.0, 4.9], [1.0, -3.0]])
    frame = ImageGridDisplay.from_predictions(["b", "b"], score, X=X[:2], classes=["a", "b"]).frame()
    assert frame["row"].tolist() == [1, 0]


def test_confident_right_are_the_highest_scores():
    frame = display_of("confident_right", n_images=2).frame()
    assert frame["row"].tolist() == [3, 0]
    assert (frame["true"] == frame["predicted"]).all()


def test_examples_are_drawn_class_by_class():
    frame = display_of("examples", n_images=1).frame()
    assert frame["true"].tolist() == CLASSES
    assert display_of("examples").frame()["row"].tolist() == [0, 1, 2, 5, 3, 4]
    drawn = {tuple(display_of("examples", n_images=1, random_state=seed).frame()["row"]) for seed in range(8)}
    assert len(drawn) > 1
    assert tuple(display_of("examples", n_images=1, random_state=3).frame()["row"]) in drawn


def test_predicted_labels_are_enough_for_errors():
    options = {"X": X, "y_pred": ["ape", "bat", "ape", "cat", "ape", "bat"]}
    frame = ImageGridDisplay.from_predictions(Y_TRUE, **options).frame()
    assert frame["row"].tolist() == [1, 2, 4]
    assert frame[["predicted_score", "true_score"]].isna().all(axis=None)
    ImageGridDisplay.from_predictions(Y_TRUE, **options).plot()
    with pytest.raises(ValueError, match="'confident_right' needs scores, and there are none: none were given"):
        ImageGridDisplay.from_predictions(Y_TRUE, **options, kind="confident_right")


def test_only_the_images_shown_are_read(folder, monkeypatch):
    read = []
    monkeypatch.setattr(Images, "read", lambda self, row: read.append(row) or X[row])
    paths = [str(folder / f"{row}.png") for row in range(6)]
    display = display_of(X=paths, n_images=2)
    display.plot()
    display.thumbnails()
    assert sorted(read) == [1, 4]


@pytest.mark.parametrize("form", ["array", "list", "pil", "bytes", "paths", "frame", "series"])
def test_images_come_from_any_x(form, folder):
    names = [f"{row}.png" for row in range(6)]
    forms = {
        "array": X,
        "list": list(X),
        "pil": [Image.fromarray(pixels) for pixels in X],
        "bytes": [(folder / name).read_bytes() for name in names],
        "paths": [folder / name for name in names],
        "frame": pd.DataFrame({"path": names}, index=range(10, 16)),
        "series": pd.Series(names),
    }
    display = display_of(X=forms[form], root=folder)
    for image, row in zip(display.images, [1, 4, 2], strict=True):
        np.testing.assert_array_equal(image, X[row])
    if form in ("paths", "frame", "series"):
        assert display.frame()["path"].tolist() == [str(folder / names[row]) for row in (1, 4, 2)]


def test_thumbnails_are_data_uris():
    display = display_of(size=15)
    table = display.thumbnails()
    assert list(table.columns) == [*display.frame().columns, "data_uri", "width", "height"]
    assert table[["width", "height"]].drop_duplicates().to_numpy().tolist() == [[15, 10]]
    for uri, row in zip(table["data_uri"], [1, 4, 2], strict=True):
        head, _, content = uri.partition(",")
        assert head == "data:image/jpeg;base64"
        image = Image.open(BytesIO(base64.b64decode(content)))
        assert image.format == "JPEG"
        np.testing.assert_allclose(np.asarray(image), X[row, :10, :15], atol=2)


def test_image_that_cannot_be_read_is_an_empty_frame_with_the_reason(folder):
    paths = [str(folder / f"{row}.png") for row in range(6)]
    (folder / "4.png").unlink()
    (folder / "2.png").write_bytes(b"no image")
    display = display_of(X=paths)
    frame = display.frame()
    assert frame["path"].tolist() == [paths[1], paths[4], paths[2]]
    assert frame["reason"].tolist() == [
        None,
        "no such file",
        "not an image of a known format such as JPEG, PNG, WebP, GIF, BMP or TIFF",
    ]
    table = display.thumbnails()
    assert table["data_uri"].isna().tolist() == [False, True, True]
    assert table["width"].tolist() == [30, 0, 0]
    display.plot()
    texts = [text.get_text() for text in display.ax_.texts]
    assert "No image: no such" in texts
    assert len(display.ax_.images) == 1
    assert len(display.ax_.patches) == 2


def test_below_a_image_stands_what_was_said_and_what_is_true():
    display = display_of(n_images=1).plot()
    texts = {text.get_text(): text.get_color() for text in display.ax_.texts}
    assert list(texts) == ["0.900", "bat", "true: ", "ape"]
    assert texts["bat"] == texts["0.900"] != texts["ape"]
    right = display_of("confident_right", n_images=1).plot()
    assert [text.get_text() for text in right.ax_.texts] == ["0.900", "cat"]
    assert right.ax_.texts[0].get_color() != texts["bat"]


def test_examples_stand_below_the_name_of_their_class():
    display = display_of("examples").plot()
    texts = [text.get_text() for text in display.ax_.texts]
    assert texts == ["ape", "0.800", "0.900", "bat", "bat", "0.500", "ape", "0.700", "cat", "0.900", "0.600", "ape"]
    turned = display_of("examples", classes=CLASSES[::-1], n_images=1).plot()
    assert [text.get_text() for text in turned.ax_.texts if text.get_fontweight() == "bold"] == CLASSES[::-1]


@pytest.mark.parametrize("kind", ["worst_errors", "confident_right", "examples"])
def test_nothing_to_show_is_said(kind):
    y_true = ["ape"] if kind == "worst_errors" else ["bat"]
    display = ImageGridDisplay.from_predictions(y_true, [[0.9, 0.1]], X=X[:1], classes=["ape", "bat"], kind=kind)
    if kind == "examples":
        display = ImageGridDisplay(display.rows.iloc[:0], [], kind=kind)
    assert display.plot().frame().empty
    assert display.thumbnails().empty
    assert len(display.ax_.texts) == 1


def boxes(display: ImageGridDisplay) -> tuple[list, object]:
    """Return where every word and every image is, in pixels, and where the axes are."""
    display.figure_.draw_without_rendering()
    renderer = display.figure_._get_renderer()
    artists = [*display.ax_.texts, *display.ax_.images, *display.ax_.patches]
    return [artist.get_window_extent(renderer) for artist in artists], display.ax_.get_window_extent(renderer)


@pytest.mark.parametrize("own_figure", [True, False])
@pytest.mark.parametrize("kind", ["worst_errors", "examples"])
def test_nothing_is_cut_and_nothing_overlaps(kind, own_figure):
    names = [f"n0208{i:04d}-WWWMMM with {i * 'very '}long name \u732b\u732b" for i in range(20)]
    rng = np.random.default_rng(0)
    images = [np.zeros((rng.integers(5, 60), rng.integers(5, 60)), np.uint8) for _ in range(50)]
    images[7] = images[30] = b"an image with a reason that is long enough to fill the frame, and more" * 5
    display = ImageGridDisplay.from_predictions(
        np.array(names)[rng.integers(0, 20, 50)],
        rng.dirichlet(np.ones(20), 50),
        X=images,
        classes=names,
        kind=kind,
        n_images=30 if kind == "worst_errors" else 3,
        name="a $name$ of the image",
    )
    ax = None if own_figure else Figure(figsize=(9, 8), layout="constrained").subplots(1, 2)[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        found, inside = boxes(display.plot(ax))
    assert len(found) > 60
    for first, second in combinations(found, 2):
        shared = (
            min(first.x1, second.x1) - max(first.x0, second.x0),
            min(first.y1, second.y1) - max(first.y0, second.y0),
        )
        # Letters in small sizes are set on whole pixels; words in an empty frame stand inside it.
        if min(shared) > 1.0:
            assert first.height > 3 * second.height or second.height > 3 * first.height, (first, second)
    for box in found:
        assert inside.x0 - 1 <= box.x0, box
        assert box.x1 <= inside.x1 + 1, box
        assert inside.y0 - 1 <= box.y0, box
        assert box.y1 <= inside.y1 + 1, box
    assert not any(text.get_parse_math() for text in display.ax_.texts)


def test_plot_draws_where_it_is_told():
    ax = Figure().subplots()
    display = display_of(name="$name")
    assert display.plot(ax) is display
    assert display.ax_ is ax
    assert ax.get_title() == "$name"


class BrightnessClassifier(ClassifierMixin, BaseEstimator):
    """An image is of the class that its brightness says."""

    def __init__(self, root=None):
        self.root = root

    def fit(self, X, y):
        self.classes_ = np.array(CLASSES)
        return self

    def predict_proba(self, X):
        images = as_images(X, root=self.root)
        means = [images.decode(row, (4, 4)).mean() for row in range(len(images))]
        return np.eye(3)[(np.array(means) // 80).astype(int)]

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def test_from_estimator_finds_images_where_the_estimator_does(folder):
    names = [f"{row}.png" for row in range(6)]
    pipe = make_pipeline(FunctionTransformer(), BrightnessClassifier(root=folder)).fit(names, Y_TRUE)
    display = ImageGridDisplay.from_estimator(pipe, names, Y_TRUE, name="brightness")
    # Brightness says: ape, ape, bat, bat, cat, cat.
    assert display.frame()["row"].tolist() == [3, 5]
    assert display.frame()["reason"].isna().all()
    np.testing.assert_array_equal(display.images[0], X[3])
    assert display.name == "brightness"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "worst"}, "kind='worst'; expected 'worst_errors', 'confident_right', 'examples'"),
        ({"n_images": 0}, "n_images=0; expected an int >= 1"),
        ({"size": 1.5}, "size=1.5; expected an int >= 1"),
        ({"X": X[:5]}, "X has 5 images; expected 6"),
    ],
)
def test_what_is_not_accepted_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        display_of(**options)
