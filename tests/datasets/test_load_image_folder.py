import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, features

from skcnn.datasets import load_image_folder
from skcnn.datasets._folder import image_extensions
from skcnn.datasets._natural import natural_key


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), "red").save(path)
    return path


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    for name in ["roses/2.png", "roses/10.png", "roses/1.png", "daisy/a.JPG", "daisy/b.webp"]:
        image(tmp_path / "flowers" / name)
    return tmp_path / "flowers"


def relative(dataset, root: Path) -> list[str]:
    return [Path(path).relative_to(root).as_posix() for path in dataset.data["path"]]


def test_bunch(flowers: Path):
    dataset = load_image_folder(flowers)
    assert relative(dataset, flowers) == ["daisy/a.JPG", "daisy/b.webp", "roses/1.png", "roses/2.png", "roses/10.png"]
    assert dataset.target.tolist() == ["daisy", "daisy", "roses", "roses", "roses"]
    assert dataset.target.dtype.kind == "U"
    assert dataset.target_names == ["daisy", "roses"]
    assert dataset.passed_over == {"not_image": 0, "hidden": 0, "link": 0, "no_class": 0}
    assert all(isinstance(path, str) for path in dataset.data["path"])
    pd.testing.assert_frame_equal(dataset.frame[["path"]], dataset.data)
    assert list(dataset.frame.columns) == ["path", "label"]
    assert dataset.frame["label"].tolist() == dataset.target.tolist()


def test_return_X_y(flowers: Path):
    X, y = load_image_folder(flowers, return_X_y=True)
    dataset = load_image_folder(flowers)
    pd.testing.assert_frame_equal(X, dataset.data)
    np.testing.assert_array_equal(y, dataset.target)


def test_without_labels(flowers: Path):
    image(flowers / "stray.png")
    image(flowers / "roses" / "deep" / "3.png")
    image(flowers / ".hidden" / "4.png")
    dataset = load_image_folder(flowers, labels=None)
    assert relative(dataset, flowers) == [
        "daisy/a.JPG",
        "daisy/b.webp",
        "roses/1.png",
        "roses/2.png",
        "roses/10.png",
        "roses/deep/3.png",
        "stray.png",
    ]
    assert dataset.target is None
    assert dataset.target_names is None
    assert list(dataset.frame.columns) == ["path"]
    pd.testing.assert_frame_equal(dataset.frame, dataset.data)
    assert dataset.passed_over == {"not_image": 0, "hidden": 1, "link": 0, "no_class": 0}
    X, y = load_image_folder(flowers / "daisy", labels=None, return_X_y=True)
    assert X["path"].tolist() == [str(flowers / "daisy" / name) for name in ("a.JPG", "b.webp")]
    assert y is None


def test_without_labels_other_files_are_reported(flowers: Path):
    (flowers / "notes.txt").write_text("x")
    with pytest.warns(UserWarning, match=r"1 file that Pillow does not read as images \(\.txt: 1\)") as caught:
        assert load_image_folder(flowers, labels=None).passed_over["not_image"] == 1
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_without_labels_links_are_treated_alike(linked: Path):
    with pytest.warns(UserWarning, match="follow_links=True"):
        inside = load_image_folder(linked, labels=None)
    with pytest.warns(UserWarning, match="passed over"):
        labelled = load_image_folder(linked)
    assert relative(inside, linked) == relative(labelled, linked)


def test_labels_and_files_in_natural_order(tmp_path: Path):
    for name in ["10", "2", "1", "s10", "s9", "S1"]:
        image(tmp_path / name / "x.png")
    assert load_image_folder(tmp_path).target_names == ["1", "2", "10", "S1", "s9", "s10"]


def test_natural_key_is_total_and_agrees_with_sorted_without_digits():
    words = ["b", "B", "a", "", "ab", "-"]
    assert sorted(words, key=natural_key) == sorted(words)
    for order in (["01", "1", "a1b2", "a1b10", "a01b2"], ["a01b2", "1", "a1b10", "a1b2", "01"]):
        assert sorted(order, key=natural_key) == ["01", "1", "a01b2", "a1b2", "a1b10"]


def test_order_does_not_depend_on_the_file_system(flowers: Path, monkeypatch: pytest.MonkeyPatch):
    before = load_image_folder(flowers).data["path"].tolist()
    real = os.scandir

    class Backwards:
        def __init__(self, path):
            with real(path) as entries:
                self.entries = list(entries)[::-1]

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *args):
            pass

    monkeypatch.setattr("skcnn.datasets._folder.os.scandir", Backwards)
    assert load_image_folder(flowers).data["path"].tolist() == before


def test_nested_folders_belong_to_their_class(flowers: Path):
    image(flowers / "daisy" / "2019" / "june" / "x.png")
    dataset = load_image_folder(flowers)
    assert relative(dataset, flowers)[0] == "daisy/2019/june/x.png"
    assert dataset.target_names == ["daisy", "roses"]


def test_root_stays_as_given(flowers: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(flowers.parent)
    assert load_image_folder("flowers").data["path"][0] == os.path.join("flowers", "daisy", "a.JPG")
    monkeypatch.setenv("HOME", str(flowers.parent))
    monkeypatch.setenv("USERPROFILE", str(flowers.parent))
    assert load_image_folder("~/flowers").data["path"][0] == str(flowers / "daisy" / "a.JPG")


# --- what an image is ---------------------------------------------------------------------------------------------


def test_every_format_that_pillow_writes_and_reads_is_loaded(tmp_path: Path):
    Image.init()
    n_formats = 0
    for extension in sorted(image_extensions()):
        name = Image.registered_extensions()[extension]
        path = tmp_path / "class" / f"x{extension.upper()}"
        path.parent.mkdir(exist_ok=True)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # formats that a later Pillow drops
                Image.new("L", (16, 16)).convert("1" if name in ("MSP", "XBM") else "RGB").save(path, format=name)
                with Image.open(path) as opened:
                    opened.load()
        except (KeyError, OSError, ValueError):  # Pillow has no writer, or needs a program that is not installed
            path.unlink(missing_ok=True)
        else:
            n_formats += 1
    assert n_formats >= 30
    dataset = load_image_folder(tmp_path)
    assert len(dataset.data) == n_formats
    loaded = {Path(path).suffix.lower() for path in dataset.data["path"]}
    assert {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".gif", ".bmp", ".ppm"} <= loaded
    assert not features.check("webp") or ".webp" in loaded


def test_extensions_that_pillow_cannot_decode_are_no_images():
    assert image_extensions().isdisjoint({".pdf", ".h5", ".hdf", ".mpg", ".mpeg", ".txt", ".csv", ""})
    assert image_extensions() < frozenset(Image.registered_extensions())


def test_extensions_of_plugins_count(flowers: Path, monkeypatch: pytest.MonkeyPatch):
    Image.init()
    monkeypatch.setitem(Image.EXTENSION, ".heic", "HEIF")
    monkeypatch.setitem(Image.OPEN, "HEIF", Image.OPEN["JPEG"])
    shutil.copy(flowers / "daisy" / "a.JPG", flowers / "daisy" / "c.HEIC")
    assert "daisy/c.HEIC" in relative(load_image_folder(flowers), flowers)


# --- what is passed over -------------------------------------------------------------------------------------------


def test_other_files_in_class_folders_are_counted_and_told(flowers: Path):
    for name in ["notes.txt", "2.TXT", "model.h5", "README"]:
        (flowers / "daisy" / name).write_text("x")
    with pytest.warns(UserWarning, match=r"4 files that Pillow does not read as images \(\.txt: 2, ") as caught:
        dataset = load_image_folder(flowers)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert repr(os.path.join("daisy", "model.h5")) in str(caught[0].message)
    assert dataset.passed_over["not_image"] == 4
    assert len(dataset.data) == 5


def test_each_format_has_its_hint(flowers: Path, monkeypatch: pytest.MonkeyPatch):
    Image.init()
    for ending in (".heic", ".avif"):
        monkeypatch.delitem(Image.EXTENSION, ending, raising=False)
    (flowers / "daisy" / "c.avif").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"\(\.avif: 1; AVIF needs `pip install 'pillow>=11\.3'`\)"):
        load_image_folder(flowers)
    (flowers / "daisy" / "d.heic").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"; AVIF needs .*; HEIC needs .*`\)"):
        load_image_folder(flowers)


def test_heic_without_its_plugin_is_named(flowers: Path, monkeypatch: pytest.MonkeyPatch):
    Image.init()
    monkeypatch.delitem(Image.EXTENSION, ".heic", raising=False)
    (flowers / "daisy" / "c.HEIC").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"\.heic: 1; HEIC needs `pip install 'skcnn\[heif\]'`"):
        load_image_folder(flowers)
    (flowers / "daisy" / "c.HEIC").rename(flowers / "c.HEIC")  # beside the class folders
    with pytest.warns(UserWarning, match=r"1 file that .* \(\.heic: 1; .*skcnn\[heif\].*, such as 'c.HEIC'\."):
        load_image_folder(flowers)
    (flowers / "telephone").mkdir()
    (flowers / "c.HEIC").rename(flowers / "telephone" / "c.HEIC")
    with pytest.raises(ValueError, match=r"\['telephone'\].* 1 file such as 'c.HEIC': HEIC needs .*skcnn\[heif\]"):
        load_image_folder(flowers)
    with pytest.raises(ValueError, match=r"no images in .* 1 file such as 'c.HEIC': HEIC needs .*skcnn\[heif\]"):
        load_image_folder(flowers / "telephone", labels=None)


@pytest.mark.parametrize("name", ["@eaDir", "__MACOSX", "$RECYCLE.BIN", "#recycle"])
def test_folders_of_systems_are_hidden(flowers: Path, name: str):
    for parent in (flowers, flowers / "daisy"):
        (parent / name / "deep").mkdir(parents=True)
        shutil.copy(flowers / "daisy" / "a.JPG", parent / name / "deep" / "a.jpg")
    dataset = load_image_folder(flowers)
    assert dataset.target_names == ["daisy", "roses"]
    assert dataset.passed_over == {"not_image": 0, "hidden": 2, "link": 0, "no_class": 0}
    assert len(dataset.data) == 5


def test_names_of_two_unicode_forms_are_one_class(flowers: Path):
    composed, decomposed = "p\u00e2te", "pa\u0302te"
    for name in (composed, decomposed):
        (flowers / name).mkdir()
        shutil.copy(flowers / "daisy" / "a.JPG", flowers / name / "a.jpg")
    with pytest.warns(UserWarning, match="look the same"):
        dataset = load_image_folder(flowers)
    assert sorted(dataset.target_names) == sorted(["daisy", composed, "roses"])
    assert dataset.target.tolist().count(composed) == 2
    assert all(os.path.exists(path) for path in dataset.data["path"])


def test_a_readme_beside_the_classes_is_counted_without_a_warning(flowers: Path):
    (flowers / "LICENSE.txt").write_text("x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_image_folder(flowers).passed_over["not_image"] == 1


def test_a_image_beside_the_classes_is_told(flowers: Path):
    image(flowers / "stray.png")
    with pytest.warns(UserWarning, match=r"1 image outside any class folder, such as 'stray.png'\."):
        dataset = load_image_folder(flowers)
    assert dataset.passed_over["no_class"] == 1
    assert len(dataset.data) == 5


def test_hidden_files_and_folders_are_passed_over(flowers: Path):
    image(flowers / "daisy" / ".hidden.png")
    image(flowers / "daisy" / ".ipynb_checkpoints" / "a-checkpoint.png")
    image(flowers / ".trash" / "x.png")
    (flowers / "daisy" / ".DS_Store").write_bytes(b"x")
    dataset = load_image_folder(flowers)
    assert dataset.passed_over == {"not_image": 0, "hidden": 4, "link": 0, "no_class": 0}
    assert dataset.target_names == ["daisy", "roses"]
    assert len(dataset.data) == 5


@pytest.fixture
def linked(flowers: Path) -> Path:
    outside = image(flowers.parent / "outside" / "secret.png")
    try:
        (flowers / "daisy" / "out.png").symlink_to(outside)
    except (OSError, NotImplementedError):
        pytest.skip("no symbolic links here")
    (flowers / "daisy" / "out").symlink_to(outside.parent, target_is_directory=True)
    (flowers / "tulips").symlink_to(outside.parent, target_is_directory=True)
    (flowers / "daisy" / "broken.png").symlink_to(flowers / "nothing.png")
    (flowers / "daisy" / "circle").symlink_to(flowers / "daisy", target_is_directory=True)
    (flowers / "daisy" / "up").symlink_to(flowers, target_is_directory=True)
    (flowers / "daisy" / "in.png").symlink_to(flowers / "roses" / "1.png")
    return flowers


def test_links_out_of_the_tree_are_passed_over_and_told(linked: Path):
    with pytest.warns(UserWarning, match=r"6 symbolic links .* such as .*follow_links=True"):
        dataset = load_image_folder(linked)
    assert dataset.passed_over["link"] == 6
    assert dataset.target_names == ["daisy", "roses"]
    assert relative(dataset, linked)[:3] == ["daisy/a.JPG", "daisy/b.webp", "daisy/in.png"]


def test_follow_links_takes_those_that_lead_out(linked: Path):
    with pytest.warns(UserWarning, match="3 symbolic links"):
        dataset = load_image_folder(linked, follow_links=True)
    assert dataset.target_names == ["daisy", "roses", "tulips"]
    assert {"daisy/out.png", "daisy/out/secret.png", "tulips/secret.png"} <= set(relative(dataset, linked))


def test_a_root_that_is_a_link_is_its_own_tree(flowers: Path):
    link = flowers.parent / "link"
    try:
        link.symlink_to(flowers, target_is_directory=True)
    except (OSError, NotImplementedError):
        pytest.skip("no symbolic links here")
    (flowers / "daisy" / "in.png").symlink_to(flowers / "roses" / "1.png")
    assert len(load_image_folder(link).data) == 6


def test_names_that_are_not_utf8(flowers: Path):
    name = os.fsdecode(b"\xe9.png")
    try:
        (flowers / os.fsdecode(b"caf\xe9")).mkdir()
        shutil.copy(flowers / "roses" / "1.png", flowers / os.fsdecode(b"caf\xe9") / name)
    except (OSError, UnicodeError):
        pytest.skip("the file system takes only UTF-8")
    dataset = load_image_folder(flowers)
    paths = dataset.data["path"]
    assert pd.api.types.is_string_dtype(paths)
    assert all(os.path.exists(path) for path in paths)
    # Labels are no names of files: what every table takes.
    assert dataset.target_names == [r"caf\udce9", "daisy", "roses"]
    assert dataset.target.tolist().count(r"caf\udce9") == 1
    assert dataset.frame.groupby("label").size()[r"caf\udce9"] == 1
    for category in (r"caf\udce9", os.fsdecode(b"caf\xe9")):
        assert load_image_folder(flowers, categories=[category]).target.tolist() == [r"caf\udce9"]


# --- categories ----------------------------------------------------------------------------------------------------


def test_categories_choose_class_folders(flowers: Path):
    (flowers / "empty").mkdir()
    dataset = load_image_folder(flowers, categories=["roses", "daisy"])
    assert dataset.target_names == ["daisy", "roses"]
    assert load_image_folder(flowers, categories=("roses",)).target.tolist() == ["roses"] * 3


def test_bad_categories(flowers: Path):
    with pytest.raises(ValueError, match=r"\['lily'\].*the folders in .* are \['daisy', 'roses'\]"):
        load_image_folder(flowers, categories=["daisy", "lily"])
    with pytest.raises(ValueError, match="the folders in"):
        load_image_folder(flowers, categories=[])
    with pytest.raises(TypeError, match=r"\['daisy'\]"):
        load_image_folder(flowers, categories="daisy")


# --- errors that say what to do ------------------------------------------------------------------------------------


def test_root_is_missing(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"flowrs' does not exist \(searched from"):
        load_image_folder(tmp_path / "flowrs")
    link = tmp_path / "link"
    try:
        link.symlink_to(tmp_path / "flowrs")
    except (OSError, NotImplementedError):
        return
    with pytest.raises(FileNotFoundError, match="link' does not exist"):
        load_image_folder(link)


def test_root_is_a_file(tmp_path: Path):
    path = image(tmp_path / "x.png")
    with pytest.raises(NotADirectoryError, match=r"is a file; expected a folder.*load_image_table"):
        load_image_folder(path)


def test_bad_labels(flowers: Path):
    with pytest.raises(ValueError, match=r"labels=\['a'\]; expected 'inferred' .* or None.*load_image_table"):
        load_image_folder(flowers, labels=["a"])
    with pytest.raises(ValueError, match=r"categories=\['daisy'\] with labels=None"):
        load_image_folder(flowers, labels=None, categories=["daisy"])


def test_root_is_empty(tmp_path: Path):
    with pytest.raises(ValueError, match=r"no images in .*, at any depth; .* extensions are read"):
        load_image_folder(tmp_path, labels=None)
    with pytest.raises(ValueError, match=r"no images in .*: it holds no folder\. .*one folder of images per class"):
        load_image_folder(tmp_path)


def test_images_directly_in_root(tmp_path: Path):
    image(tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"1 image directly in it, such as 'x.png'.*load_image_table.*labels=None"):
        load_image_folder(tmp_path)


def test_no_images_at_all(tmp_path: Path):
    (tmp_path / "daisy").mkdir()
    (tmp_path / "daisy" / "a.txt").write_text("x")
    with pytest.raises(ValueError, match=r"no images in .*: its folders \['daisy'\] hold none.*\.webp"):
        load_image_folder(tmp_path)


def test_an_empty_class_folder(flowers: Path):
    (flowers / "lily").mkdir()
    with pytest.raises(ValueError, match=r"1 folder without an image: \['lily'\].*categories="):
        load_image_folder(flowers)


def test_only_links(flowers: Path, tmp_path: Path):
    try:
        (tmp_path / "linked" / "daisy").mkdir(parents=True)
        (tmp_path / "linked" / "daisy" / "a.jpg").symlink_to(flowers / "daisy" / "a.JPG")
    except (OSError, NotImplementedError):
        pytest.skip("no symbolic links here")
    with pytest.raises(ValueError, match=r"Passed over: 1 symbolic link; follow_links=True"):
        load_image_folder(tmp_path / "linked")
    assert len(load_image_folder(tmp_path / "linked", follow_links=True).data) == 1


def test_a_folder_of_splits_is_told(tmp_path: Path):
    image(tmp_path / "train" / "daisy" / "x.png")
    image(tmp_path / "Test" / "daisy" / "x.png")
    with pytest.warns(UserWarning, match=r"labels \['Test', 'train'\].*load each part by itself") as caught:
        load_image_folder(tmp_path)
    assert caught[0].filename == __file__


# --- real images -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n_samples", "n_classes", "first", "last"),
    [
        ("flowers5", 3117, 5, "daisy", "tulips"),
        ("caltech30", 1800, 30, "Leopards", "yin_yang"),
        ("faces_orl", 400, 40, "s01", "s40"),
    ],
)
def test_real_collections(shared: Path, name: str, n_samples: int, n_classes: int, first: str, last: str):
    dataset = load_image_folder(shared / "data" / name)
    assert dataset.data.shape == (n_samples, 1)
    assert len(dataset.target_names) == n_classes
    assert (dataset.target_names[0], dataset.target_names[-1]) == (first, last)
    assert dataset.data["path"].is_unique
    assert all(os.path.basename(os.path.dirname(path)) == label for path, label in dataset.frame.to_numpy())
