import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize

from skcnn.cache import FeatureCache
from skcnn.cli import main
from skcnn.datasets import load_digit_images, load_image_folder
from skcnn.feature_extraction import BottleneckFeatures

RESNET20 = ["--backbone", "ResNet20", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Digits 0, 1 and 2, ten images each, a folder per class."""
    root = tmp_path_factory.mktemp("digits")
    digits = load_digit_images()
    for digit in range(3):
        (root / str(digit)).mkdir()
        for index, pixels in enumerate(digits.data[digits.target == digit][:10]):
            Image.fromarray(pixels).save(root / str(digit) / f"{index}.png")
    return root


def labels_by_file(page: Path) -> dict[str, str]:
    points = re.findall(r'data-label="(.*?)" data-file="(.*?)"', page.read_text("utf-8"))
    return {file: label for label, file in points}


def test_a_map_of_a_folder_is_coloured_by_label(folder, tmp_path, capsys):
    page = tmp_path / "map.html"
    assert main(["map", str(folder), "-o", str(page), *RESNET20]) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(re.escape(str(page)) + r": 30 images, PCA of 64 features, \d+\s% of the variance\n", out)
    labels = labels_by_file(page)
    assert len(labels) == 30
    assert all(file == f"{label}/{file.split('/')[1]}" for file, label in labels.items())
    assert str(folder.parent) not in page.read_text("utf-8")


def test_images_need_no_labels(folder, tmp_path, capsys):
    page, flat = tmp_path / "map.html", tmp_path / "flat"
    flat.mkdir()
    for number in range(5):
        shutil.copy(folder / "1" / f"{number}.png", flat)
    (flat / "bad.png").write_bytes(b"no image")
    assert main(["map", str(flat), "-o", str(page), *RESNET20, "--skip-bad"]) == 0
    assert "5 of 6 images, PCA of 64 features" in capsys.readouterr().out
    assert set(labels_by_file(page).values()) == {""}
    assert len(labels_by_file(page)) == 5
    assert "legend" not in page.read_text("utf-8").split("<main>")[1].split("<script>")[0]


def test_clusters_are_those_of_kmeans_on_unit_vectors(folder, tmp_path):
    page = tmp_path / "map.html"
    assert main(["map", str(folder), "-o", str(page), *RESNET20, "--clusters", "4", "--seed", "3"]) == 0
    paths = load_image_folder(folder).frame["path"]
    features = normalize(BottleneckFeatures("ResNet20").fit_transform(paths))
    expected = KMeans(4, n_init=10, random_state=3).fit_predict(features)
    found = labels_by_file(page)
    assert [found["/".join(Path(path).parts[-2:])] for path in paths] == [f"cluster {number}" for number in expected]
    assert "<h2>cluster</h2>" in page.read_text("utf-8")


def test_a_map_goes_through_the_cache_directory(folder, tmp_path):
    cache = tmp_path / "features"
    command = ["map", str(folder), "-o", str(tmp_path / "map.html"), *RESNET20, "--cache", str(cache)]
    assert main(command) == 0
    first = FeatureCache(cache).info()
    assert main([*command, "--clusters", "2"]) == 0
    second = FeatureCache(cache).info()
    assert first.passes == second.passes == 30
    assert second.hits >= first.hits + 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "map.html", "--clusters", "31"], "--clusters 31; expected at most 30, the number of images"),
        (["-o", "no/such/map.html"], "no/such/map.html: the folder no/such does not exist"),
    ],
)
def test_mistakes_are_reported(folder, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["map", str(folder), *arguments, *RESNET20]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reducer", "tnse"], "Did you mean 'tsne'"),
        (["--clusters", "0"], "--clusters: got 0; expected an integer >= 1"),
    ],
)
def test_values_of_options_are_checked(folder, capsys, arguments, message):
    with pytest.raises(SystemExit):
        main(["map", str(folder), "-o", "map.html", *arguments])
    assert message in capsys.readouterr().err


def test_a_seed_gives_the_same_page(folder, tmp_path):
    pages = [tmp_path / name for name in ("a.html", "b.html")]
    for page in pages:
        assert main(["map", str(folder), "-o", str(page), *RESNET20]) == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()
