import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skcnn.datasets import load_image_folder, load_image_table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cells").mkdir()
    for name in ["1.png", "2.png", "10.png"]:
        Image.new("RGB", (4, 4)).save(tmp_path / "cells" / name)
    return tmp_path / "cells"


def write(folder: Path, **columns) -> Path:
    pd.DataFrame(columns).to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def test_csv_with_further_columns(folder: Path):
    csv = write(folder, age=[31, 64, 50], path=["1.png", "2.png", "10.png"], label=["b", "a", "b"], sex=["f", "m", "f"])
    table = load_image_table(csv)
    assert list(table.data.columns) == ["age", "path", "sex"]
    assert list(table.frame.columns) == ["age", "path", "label", "sex"]
    assert table.data["path"].tolist() == [str(folder / name) for name in ["1.png", "2.png", "10.png"]]
    assert table.data["age"].tolist() == [31, 64, 50]
    assert table.target.tolist() == ["b", "a", "b"]
    assert table.target.dtype.kind == "U"
    assert table.target_names == ["a", "b"]
    X, y = load_image_table(csv, return_X_y=True)
    pd.testing.assert_frame_equal(X, table.data)
    np.testing.assert_array_equal(y, table.target)


def test_column_transformer_takes_data(folder: Path):
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import FunctionTransformer

    def n_bytes(paths: pd.DataFrame) -> np.ndarray:
        return np.array([[os.path.getsize(path)] for path in paths["path"]])

    table = load_image_table(write(folder, path=["1.png", "2.png"], age=[31, 64], label=["a", "b"]))
    columns = ColumnTransformer([("size", FunctionTransformer(n_bytes), ["path"]), ("age", "passthrough", ["age"])])
    assert columns.fit_transform(table.data)[:, 1].tolist() == [31, 64]


def test_frame_of_a_folder_is_such_a_table(folder: Path):
    dataset = load_image_folder(folder.parent)
    table = load_image_table(dataset.frame)
    pd.testing.assert_frame_equal(table.data, dataset.data)
    np.testing.assert_array_equal(table.target, dataset.target)


def test_paths_start_from_root(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    csv = write(elsewhere, path=["1.png", str(folder / "2.png"), "s3://bucket/3.png"], label=[0, 1, 0])
    table = load_image_table(csv, root=folder)
    assert table.data["path"].tolist() == [str(folder / "1.png"), str(folder / "2.png"), "s3://bucket/3.png"]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert load_image_table(csv, root="~/cells").data["path"][0] == os.path.join(str(tmp_path), "cells", "1.png")
    remote = load_image_table(csv, root="s3://bucket/")
    assert remote.data["path"].tolist() == ["s3://bucket/1.png", str(folder / "2.png"), "s3://bucket/3.png"]


def test_dataframe_is_taken_as_it_is_and_not_changed(folder: Path, monkeypatch: pytest.MonkeyPatch):
    frame = pd.DataFrame({"file": [Path("1.png"), Path("2.png")], "kind": [2, 10]}, index=[7, 3])
    before = frame.copy()
    monkeypatch.chdir(folder)
    table = load_image_table(frame, path="file", label="kind")
    assert table.data["file"].tolist() == ["1.png", "2.png"]
    assert table.data.index.tolist() == [7, 3]
    assert load_image_table(frame, path="file", label="kind", root=folder).data["file"][7] == str(folder / "1.png")
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("labels", "kind", "names"),
    [
        (["s10", "s9", "s10"], "U", ["s9", "s10"]),
        ([10, 2, 10], "i", [2, 10]),
        ([True, False, True], "b", [False, True]),
        ([0.5, 1.5, 2.0], "f", None),
        (pd.Categorical(["b", "a", "b"]), "U", ["a", "b"]),
    ],
)
def test_labels_keep_their_kind(folder: Path, labels, kind: str, names):
    frame = pd.DataFrame({"path": ["1.png", "2.png", "10.png"], "label": labels})
    table = load_image_table(frame, root=folder)
    assert table.target.dtype.kind == kind
    assert table.target.tolist() == list(labels)
    assert table.target_names == names


def test_without_labels(folder: Path):
    csv = write(folder, path=["1.png", "2.png"])
    table = load_image_table(csv, label=None)
    assert table.target is None
    assert table.target_names is None
    assert table.data.shape == (2, 1)
    assert load_image_table(csv, label=None, return_X_y=True)[1] is None


def test_names_of_digits_stay_text(folder: Path):
    Image.new("RGB", (4, 4)).save(folder / "007", format="PNG")
    assert load_image_table(write(folder, path=["007"], label=["x"])).data["path"][0] == str(folder / "007")


# --- errors that say what to do ------------------------------------------------------------------------------------


def test_paths_that_are_not_utf8(folder: Path):
    try:
        (folder / os.fsdecode(b"\xe9.png")).write_bytes((folder / "1.png").read_bytes())
    except (OSError, UnicodeError):
        pytest.skip("the file system takes only UTF-8")
    (folder / "table.csv").write_bytes(b"path,label,age,\xe9t\xe9\n1.png,caf\xc3\xa9,1,2\n\xe9.png,caf\xe9,2,1\n")
    with pytest.warns(UserWarning, match=r"table.csv' is not UTF-8 throughout.*pandas\.read_csv\(") as said:
        table = load_image_table(folder / "table.csv")
    assert said[0].filename == __file__
    assert [os.path.exists(path) for path in table.data["path"]] == [True, True]
    assert table.target_names == [r"caf\udce9", "café"]
    assert table.frame["label"].tolist() == table.target.tolist() == ["café", r"caf\udce9"]
    assert table.data["age"].tolist() == table.data[r"\udce9t\udce9"].tolist()[::-1] == [1, 2]
    again = load_image_table(table.frame)
    assert again.data["path"].tolist() == table.data["path"].tolist()
    assert again.target.tolist() == table.target.tolist()


def test_a_image_is_no_table(folder: Path):
    # Its bytes are no UTF-8, and byte by byte it has rows of other lengths.
    (folder / "image.csv").write_bytes(b"\xff\xd8\n1,2,3,4\n5\n1,2,3,4,5,6\n")
    with pytest.raises(ValueError, match=r"image.csv' is not a CSV table with a header line"):
        load_image_table(folder / "image.csv")


def test_missing_columns_are_named_with_those_that_are_there(folder: Path):
    csv = write(folder, filename=["1.png"], label=["a"])
    with pytest.raises(ValueError, match=r"no column 'path' in .*its columns are \['filename', 'label'\].*path="):
        load_image_table(csv)
    with pytest.raises(ValueError, match=r"no column 'class'"):
        load_image_table(csv, path="filename", label="class")
    (folder / "semicolon.csv").write_text("path;label\n1.png;a\n")
    with pytest.raises(ValueError, match=r"\['path;label'\].*sep="):
        load_image_table(folder / "semicolon.csv")


def test_missing_values_are_named_by_row(folder: Path):
    csv = write(folder, path=["1.png", None, "2.png", None], label=["a", "b", "a", "b"])
    with pytest.raises(ValueError, match=r"'path' of .* has no value in 2 of 4 rows: 1, 3 \(the first is 0\)"):
        load_image_table(csv)
    csv = write(folder, path=["1.png"] * 12, label=[None] * 11 + ["None"])
    with pytest.raises(ValueError, match=r"'label' .* 12 of 12 rows: 0, .* 9 and 2 more .*keep_default_na=False"):
        load_image_table(csv)
    frame = pd.read_csv(csv, keep_default_na=False)
    assert load_image_table(frame, root=folder).target[-1] == "None"


def test_no_rows(folder: Path):
    with pytest.raises(ValueError, match="no rows"):
        load_image_table(write(folder, path=[], label=[]))


def test_wrong_root(folder: Path, tmp_path: Path):
    csv = write(folder, path=["1.png", "2.png"], label=["a", "b"])
    with pytest.raises(FileNotFoundError, match=r"None of the 2 files in .*1.png'.*root="):
        load_image_table(csv, root=tmp_path)


def test_some_missing_files_are_left_to_the_estimator(folder: Path):
    table = load_image_table(write(folder, path=["gone.png", "1.png"], label=["a", "b"]))
    assert len(table.data) == 2


@pytest.mark.parametrize("content", ["", "path,label\n1.png,a\n2.png,b,c,d\n"])
def test_a_file_that_is_no_table(folder: Path, content: str):
    (folder / "table.csv").write_text(content)
    with pytest.raises(ValueError, match=r"table\.csv' is not a CSV table with a header line: "):
        load_image_table(folder / "table.csv")


def test_missing_csv(folder: Path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        load_image_table(folder / "none.csv")


def test_wrong_types(folder: Path):
    with pytest.raises(TypeError, match="path of a CSV file or a pandas DataFrame, got a list"):
        load_image_table([("1.png", "a")])
    with pytest.raises(TypeError, match=r"'path' must hold paths as strings, got a int in row 0"):
        load_image_table(pd.DataFrame({"path": [1], "label": ["a"]}))


def test_one_column_each(folder: Path):
    frame = pd.DataFrame([["1.png", "2.png", "a"]], columns=["path", "path", "label"])
    with pytest.raises(ValueError, match="one column each"):
        load_image_table(frame)
    with pytest.raises(ValueError, match="one column each"):
        load_image_table(write(folder, path=["1.png"]), label="path")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["001", "002"], ["001", "002"]),
        (["1", "2"], [1, 2]),
        (["1", "02"], ["1", "02"]),
        (["0.5", "1.5"], [0.5, 1.5]),
        (["1.50", "2.5"], ["1.50", "2.5"]),
        (["1e5", "2e5"], ["1e5", "2e5"]),
        (["True", "False"], [True, False]),
        (["true", "False"], ["true", "False"]),
    ],
)
def test_labels_of_a_csv_are_numbers_only_where_they_are_written_as_such(tmp_path, labels, expected):
    for name in ("0.png", "1.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "x.csv").write_text(f"path,label\n0.png,{labels[0]}\n1.png,{labels[1]}\n")
    target = load_image_table(tmp_path / "x.csv").target
    assert target.tolist() == expected
    assert type(target.tolist()[0]) is type(expected[0])


def test_paths_of_windows_get_a_hint(tmp_path):
    (tmp_path / "x.csv").write_text("path,label\nimg\\0.png,a\n")
    with pytest.raises(FileNotFoundError, match="backslashes, as Windows writes them"):
        load_image_table(tmp_path / "x.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_or_device_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", "/dev/zero"):
        with pytest.raises(OSError, match=r"is a (pipe|device); expected a CSV file"):
            load_image_table(path)
