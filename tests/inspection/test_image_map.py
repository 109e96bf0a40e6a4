import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from chromium import acted, in_chromium, needs_chromium
from matplotlib.colors import to_hex
from PIL import Image
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits

import skcnn.inspection
from skcnn._plot.theme import REST, SERIES
from skcnn.inspection import ImageMapDisplay, _image_map_page
from skcnn.inspection._reducing import reduced
from skcnn.inspection._spread import spread

RNG = np.random.default_rng(0)
#: 30 images of 8 x 6, in three groups by colour.
GROUPS = np.repeat(["red", "green", "blue"], 10)
PIXELS = np.clip(
    40 + 160 * np.eye(3)[np.repeat([0, 1, 2], 10)][:, None, None] + RNG.normal(0, 12, (30, 8, 6, 3)), 0, 255
).astype(np.uint8)
#: As far as they have to be for 3 thumbnails beside each other, and a fourth that is close to the first.
FOUR = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 5.0], [-0.5, 0.0]])


def flat(X) -> np.ndarray:
    return np.asarray(X, dtype=float).reshape(len(X), -1)


def pixels_as_features(**options) -> ImageMapDisplay:
    return ImageMapDisplay.from_estimator(FunctionTransformer(flat), PIXELS, **options)


class Page(HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.tags = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def points(self):
        return [attributes for tag, attributes in self.tags if tag == "b" and "data-file" in attributes]


def page_of(display: ImageMapDisplay, tmp_path: Path) -> str:
    return display.to_html(tmp_path / "map.html").read_text("utf-8")


def test_spread_is_farthest_first():
    coordinates = RNG.normal(size=(200, 2))
    rows, spacing = spread(coordinates, 50)
    distances = cdist(coordinates, coordinates, "chebyshev")
    assert rows[0] == cdist(coordinates, coordinates.mean(axis=0)[None], "chebyshev").argmin()
    assert spacing[0] == np.inf
    for number in range(1, 50):
        to_chosen = distances[:, rows[:number]].min(axis=1)
        assert to_chosen[rows[number]] == to_chosen.max() == spacing[number]
    assert (np.diff(spacing) <= 0).all()


def test_points_at_one_place_are_chosen_once():
    rows, spacing = spread(np.array([[0.0, 0], [1, 0], [0, 0], [1, 0]]), 4)
    assert sorted(rows % 2) == [0, 1]
    assert spacing.tolist() == [np.inf, 1.0]
    assert len(spread(np.empty((0, 2)), 4)[0]) == 0


def test_pca_is_numpys_decomposition():
    features = RNG.normal(size=(40, 6)) * [5, 3, 1, 1, 1, 1]
    coordinates, description = reduced(features, "pca", 0)
    centred = features - features.mean(axis=0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(coordinates), np.abs(centred @ axes[:2].T), atol=1e-9)
    percent = round(100 * (singular[:2] ** 2).sum() / (singular**2).sum())
    assert description == f"PCA of 6 features, {percent}\u00a0% of the variance"


@pytest.mark.parametrize("n_features", [5, 60])
def test_tsne_separates_groups_and_repeats_itself(n_features):
    features = np.repeat(RNG.normal(0, 20, (2, n_features)), 30, axis=0) + RNG.normal(size=(60, n_features))
    with threadpool_limits(1):
        coordinates, description = reduced(features, "tsne", 3)
        np.testing.assert_array_equal(reduced(features, "tsne", 3)[0], coordinates)
    distances = cdist(coordinates, coordinates)
    np.fill_diagonal(distances, np.inf)
    assert (distances.argmin(axis=1) // 30 == np.arange(60) // 30).all()
    assert description == f"t-SNE of {n_features} features"


def test_three_images_are_enough():
    with threadpool_limits(1):
        for reducer in ("pca", "tsne"):
            assert reduced(np.eye(3), reducer, 0)[0].shape == (3, 2)
    assert not reduced(np.ones((3, 2)), "pca", 0)[0].any()
    with pytest.raises(ValueError, match="at least 3 images"):
        reduced(np.eye(2), "pca", 0)


def test_any_transformer_with_two_outputs_is_a_reducer():
    reducer = PCA(2)
    display = pixels_as_features(reducer=reducer)
    expected = np.abs(PCA(2).fit_transform(flat(PIXELS)))
    np.testing.assert_allclose(np.abs(display.frame()[["x", "y"]]), expected, atol=1e-6)
    assert not hasattr(reducer, "components_")  # It was cloned.
    assert display.description == "PCA of 144 features"
    with pytest.raises(ValueError, match=r"PCA returned an array of shape \(30, 3\); expected \(30, 2\)"):
        pixels_as_features(reducer=PCA(3))
    with pytest.raises(ValueError, match="reducer='umap'; expected 'pca', 'tsne' or a transformer"):
        pixels_as_features(reducer="umap")
    with pytest.raises(TypeError, match="reducer is of type int"):
        pixels_as_features(reducer=2)


def test_similar_images_are_close_together():
    frame = pixels_as_features(y=GROUPS).frame()
    assert list(frame.columns) == ["row", "path", "label", "x", "y", "spacing", "reason"]
    distances = cdist(frame[["x", "y"]], frame[["x", "y"]])
    np.fill_diagonal(distances, np.inf)
    assert (GROUPS[distances.argmin(axis=1)] == GROUPS).all()
    assert frame["label"].tolist() == GROUPS.tolist()
    assert frame["path"].isna().all()


def test_thumbnails_never_cover_one_another():
    coordinates = RNG.normal(size=(30, 2))
    display = ImageMapDisplay.from_coordinates(PIXELS, coordinates)
    for side in (0.1, 0.5, 1.5):
        chosen = display.frame().query("spacing >= @side")[["x", "y"]].to_numpy()
        distances = cdist(chosen, chosen, "chebyshev")
        np.fill_diagonal(distances, np.inf)
        assert distances.min() >= side
    assert display.frame()["spacing"].notna().all()
    few = ImageMapDisplay.from_coordinates(PIXELS, coordinates, max_thumbnails=5)
    assert few.frame()["spacing"].notna().sum() == sum(image is not None for image in few.images) == 5
    assert ImageMapDisplay.from_coordinates(PIXELS, coordinates, max_thumbnails=0).frame()["spacing"].isna().all()


def test_thumbnails_are_the_images(tmp_path):
    Image.fromarray(np.full((300, 200, 3), 90, np.uint8)).save(tmp_path / "tall.png")
    display = ImageMapDisplay.from_coordinates(["tall.png"], [[3, 4]], root=tmp_path, size=60)
    (image,) = display.images
    assert image.shape == (60, 40, 3)
    assert (image == 90).all()
    assert display.frame()["path"].tolist() == [str(tmp_path / "tall.png")]


def test_what_cannot_be_read_is_a_dot_and_says_why(tmp_path):
    paths = [str(tmp_path / f"{number}.png") for number in range(4)]
    for path, pixels in zip(paths[1:], PIXELS, strict=False):
        Image.fromarray(pixels).save(path)
    display = ImageMapDisplay.from_coordinates(paths, FOUR, list("abca"))
    frame = display.frame()
    assert frame["reason"].notna().tolist() == [True, False, False, False]
    assert np.isnan(frame["spacing"][0])
    page = page_of(display, tmp_path)
    assert "1 image could not be read and is shown as dots." in page
    assert str(tmp_path) not in page  # A page does not say where its author keeps images.
    display.plot()


def test_rows_without_finite_features_are_not_drawn(tmp_path):
    features = flat(PIXELS)
    features[3] = np.nan
    display = ImageMapDisplay.from_estimator(FunctionTransformer(lambda X: features), PIXELS, GROUPS)
    frame = display.frame()
    assert frame[["x", "y", "spacing"]].isna().all(axis=1).tolist() == [row == 3 for row in range(30)]
    page = page_of(display, tmp_path)
    assert len(Page(page).points()) == 29
    assert "1 image without coordinates is not drawn." in page
    with pytest.raises(ValueError, match="None of the 2 images has coordinates"):
        ImageMapDisplay.from_coordinates(PIXELS[:2], [[np.nan, 1], [np.inf, 2]])


def test_estimators_that_give_no_features_are_refused():
    pipe = make_pipeline(FunctionTransformer(flat), LogisticRegression()).fit(PIXELS, GROUPS)
    with pytest.raises(TypeError, match=r"no transform; .*: pipe\[:-1\]"):
        ImageMapDisplay.from_estimator(pipe, PIXELS)
    with pytest.raises(ValueError, match=r"shape \(30, 8, 6, 3\); expected \(n_images, n_features\)"):
        ImageMapDisplay.from_estimator(FunctionTransformer(), PIXELS)
    assert len(ImageMapDisplay.from_estimator(pipe[:-1], PIXELS).frame()) == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_thumbnails": -1}, "max_thumbnails=-1; expected an int >= 0"),
        ({"size": 0}, "size=0; expected an int >= 1"),
        ({"y": ["a", "b"]}, r"y has shape \(2,\); expected \(4,\)"),
        ({"y": [0.5, 1, 2, 3]}, r"y holds numbers such as 0.5; .*pandas.cut"),
        ({"coordinates": FOUR[:3]}, r"coordinates has shape \(3, 2\); expected \(4, 2\)"),
    ],
)
def test_invalid_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        ImageMapDisplay.from_coordinates(PIXELS[:4], **{"coordinates": FOUR, **options})


@pytest.mark.parametrize(
    ("y", "names", "codes"),
    [
        (["b", "a", None, "b"], ["a", "b"], [1, 0, -1, 1]),
        (np.array([10, 2, 2, 10]), ["2", "10"], [1, 0, 0, 1]),
        (pd.Series([1.0, np.nan, 0.0, 1.0], name="cluster"), ["cluster 0", "cluster 1"], [1, -1, 0, 1]),
        (pd.Series([True, False, True, True], name="sharp"), ["sharp False", "sharp True"], [1, 0, 1, 1]),
        (None, [], [-1, -1, -1, -1]),
    ],
)
def test_classes_are_labels_or_clusters(y, names, codes, tmp_path):
    display = ImageMapDisplay.from_coordinates(PIXELS[:4], FOUR, y)
    found, found_names = display.classes()
    assert found_names == names
    assert found.tolist() == codes
    display.plot()
    page_of(display, tmp_path)


def test_the_figure_has_thumbnails_dots_and_a_legend():
    display = ImageMapDisplay.from_coordinates(PIXELS[:4], FOUR, ["$a$", "b", "_c", "b"], name="$4$")
    display.plot(thumbnail=0.1)
    ax = display.ax_
    assert len(ax.images) == 3
    assert sorted(image.get_extent()[0] + 0.36225 for image in ax.images) == pytest.approx([0, 10, 10], abs=0.01)
    dots = [tuple(map(float, offset)) for dots in ax.collections for offset in dots.get_offsets()]
    assert dots == [(-0.5, 0.0)]
    assert [to_hex(patch.get_edgecolor()) for patch in ax.patches] == [SERIES[0], SERIES[2], SERIES[1]]
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["$a$", "_c", "b"]
    assert legend.get_title().get_text() == "label"
    assert ax.get_aspect() == 1
    assert len(display.plot(thumbnail=0.01, legend=False).ax_.images) == 4
    assert display.ax_.get_legend() is None
    with pytest.raises(ValueError, match="thumbnail=0; expected a number above 0"):
        display.plot(thumbnail=0)


def test_images_without_a_label_are_grey():
    display = ImageMapDisplay.from_coordinates(PIXELS[:4], FOUR, ["a", None, "a", "a"]).plot()
    assert [to_hex(patch.get_edgecolor()) for patch in display.ax_.patches].count(REST) == 1


def test_many_classes_have_colours_of_their_own(tmp_path):
    labels = [f"class {number:02}" for number in range(30)]
    display = ImageMapDisplay.from_coordinates(PIXELS, RNG.normal(size=(30, 2)), labels)
    colors = re.findall(r"\.c\d+ { --color: (hsl\(\d+ 65% var\(--tone\)\)); }", page_of(display, tmp_path))
    assert len(set(colors)) == 30
    assert display.plot().ax_.get_legend() is None  # It would be longer than the map is high.


def test_the_page_has_every_image_and_its_name(tmp_path):
    paths = [f"folder/{number}.png" for number in range(4)]
    (tmp_path / "folder").mkdir()
    for path, pixels in zip(paths, PIXELS, strict=False):
        Image.fromarray(pixels).save(tmp_path / path)
    odd = ['"><script>', "b", "b", "b"]
    page = page_of(ImageMapDisplay.from_coordinates(paths, FOUR, odd, root=tmp_path), tmp_path)
    points = Page(page).points()
    assert sorted(point["data-file"] for point in points) == paths
    assert {point["title"] for point in points} >= {'"><script>: folder/0.png', "b: folder/3.png"}
    # From the left and from the top: the map is as wide as the data, and a little higher.
    place = {point["data-file"]: re.findall(r"[\d.]+", point["style"]) for point in points}
    assert place["folder/0.png"] == ["4.76", "85.71"]
    assert place["folder/2.png"] == ["100.00", "14.29"]
    # Without a script, thumbnails are where there is room.
    assert {point["data-file"] for point in points if "dot" in point["class"].split()} == {"folder/3.png"}


def test_the_page_is_whole_by_itself(tmp_path):
    page = page_of(ImageMapDisplay.from_coordinates(PIXELS, RNG.normal(size=(30, 2)), GROUPS), tmp_path)
    for tag, attributes in Page(page).tags:
        assert tag not in ("link", "iframe", "object", "form")
        for name, value in attributes.items():
            assert name not in ("src", "href") or value.startswith("data:image/jpeg;base64,")
            assert not name.startswith("on")
    assert "url(" not in page
    assert "@import" not in page
    (script,) = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    assert script == (Path(skcnn.inspection.__file__).parent / "templates" / "map.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}';" in page


def test_the_size_of_the_page_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(_image_map_page, "MAX_POINTS", 20)
    display = ImageMapDisplay.from_coordinates(PIXELS, RNG.normal(size=(30, 2)), max_thumbnails=6)
    page = page_of(display, tmp_path)
    assert "20 of 30 images are drawn, a random sample." in page
    points = Page(page).points()
    assert len(points) == 20
    # Thumbnails are among them.
    with_image = set(display.frame().query("spacing > 0")["row"])
    assert {int(point["data-file"].split()[1]) for point in points if "data-spacing" in point} == with_image
    assert len(with_image) == 6
    assert page == page_of(display, tmp_path)


SEE = """
const map = document.querySelector(".map"), output = document.querySelector(".tools output");
const shown = () => [...document.querySelectorAll(".point:not(.dot)")];
const boxes = () => shown().map(point => point.getBoundingClientRect());
const cover = () => boxes().some((a, i) => boxes().some((b, j) =>
  i < j && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1));
const press = key => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const card = () => [...document.querySelectorAll(".card strong, .card span")].map(e => e.textContent);
const stops = () => document.querySelectorAll(".point[tabindex='0']").length;
seen.whole = [shown().length, cover(), output.textContent, document.documentElement.scrollWidth <= innerWidth, stops()];
document.querySelector(".point[tabindex='0']").focus();
seen.first = card();
press("ArrowRight"); seen.right = card();
press("ArrowLeft"); seen.left = card();
seen.stops = stops();
for (let i = 0; i < 9; i++) document.querySelector("[data-zoom=in]").click();
seen.zoomed = [shown().length, cover(), output.textContent, map.scrollWidth > 2 * map.clientWidth];
document.querySelector("[data-zoom=whole]").click();
seen.back = [shown().length, map.scrollWidth === map.clientWidth];
document.querySelectorAll(".legend button")[1].click();
seen.chosen = [...new Set(shown().map(point => point.dataset.label))];
seen.pressed = [...document.querySelectorAll(".legend button")].map(button => button.ariaPressed);
seen.still = document.querySelector(".point[tabindex='0']").dataset.label;
"""


@needs_chromium
def test_in_chromium_the_map_zooms_and_names_images(tmp_path):
    # Three in a row, and a crowd in the middle of the others.
    coordinates = np.array([[0.0, 0.0], [50.0, 0.0], [100.0, 0.0], *RNG.uniform((44, 74), (56, 86), (27, 2))])
    labels = ["west", "middle", "east", *["crowd"] * 27]
    display = ImageMapDisplay.from_coordinates(PIXELS, coordinates, labels, name="thirty")
    page = page_of(display, tmp_path)
    seen = acted(page, SEE, tmp_path)
    n_whole, cover, said, fits, stops = seen["whole"]
    assert 4 <= n_whole < 15
    assert (cover, fits, stops) == (False, True, 1)
    assert said == f"{n_whole} of 30 images as thumbnails"
    assert seen["first"][0] in labels
    assert seen["right"] != seen["first"]
    assert seen["left"] != seen["right"]
    assert seen["stops"] == 1
    n_zoomed, cover, said, scrolls = seen["zoomed"]
    assert n_zoomed > n_whole
    assert (cover, scrolls) == (False, True)
    assert seen["back"] == [n_whole, True]
    assert seen["chosen"] == [sorted(set(labels))[1]]
    assert seen["pressed"] == ["false", "true", "false", "false"]
    assert seen["still"] == seen["chosen"][0]


@needs_chromium
def test_in_chromium_the_page_as_it_is_runs_its_script_and_complains_of_nothing(tmp_path):
    display = ImageMapDisplay.from_coordinates(PIXELS, RNG.normal(size=(30, 2)), GROUPS)
    dom, complaints = in_chromium(display.to_html(tmp_path / "map.html"), tmp_path, "--enable-logging=stderr")
    assert "CONSOLE" not in complaints
    assert dom.count('aria-pressed="false"') == 3


def test_a_pipeline_keeps_the_root_of_its_features(image_files):
    folder = Path(image_files[0]).parent
    names = [Path(path).name for path in image_files]

    class Reader(FunctionTransformer):
        def __init__(self, func=None, root=None):
            super().__init__(func)
            self.root = root

    reader = Reader(lambda X: np.random.default_rng(0).normal(size=(len(X), 3)), root=str(folder))
    display = ImageMapDisplay.from_estimator(make_pipeline(reader, StandardScaler()).fit(names), names)
    assert display.frame()["path"].tolist() == image_files
    assert display.frame()["reason"].isna().all()
