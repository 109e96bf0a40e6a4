"""Text of MOTChallenge in and out."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcnn.tracking import read_mot, write_mot


def test_truth_and_detections_are_read(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_text("1,3,10,20,30,40,1,-1,-1,-1\n\n2, 3, 11.5, 20, 30, 40\n")
    table = read_mot(path, label="person")
    assert table.columns.tolist() == ["frame", "label", "xmin", "ymin", "xmax", "ymax", "score", "track"]
    assert table.iloc[1].tolist() == [2, "person", 11.5, 20, 41.5, 60, 1, 3]
    path.write_text("1,-1,10,20,30,40,0.5,-1,-1,-1\n")
    assert "track" not in read_mot(path)
    path.write_text("")
    assert len(read_mot(path)) == 0


@pytest.mark.parametrize(
    "line",
    ["1,2,3", "a,2,3,4,5,6", "1,2,3,4,0,6", "1,2,3,4,5,-6", "1.5,2,3,4,5,6", "1,2,nan,4,5,6", "1,2.5,3,4,5,6", "\x00"],
)
def test_a_bad_line_is_named(line, tmp_path):
    path = tmp_path / "det.txt"
    path.write_text(f"1,-1,10,20,30,40,1\n{line}\n")
    with pytest.raises(ValueError, match=r"det\.txt, line 2: .*MOTChallenge"):
        read_mot(path)


boxes = st.tuples(st.integers(1, 99), *[st.integers(0, 20_000)] * 2, *[st.integers(1, 20_000)] * 2)


@settings(max_examples=12, deadline=None)
@given(st.lists(boxes, max_size=8))
def test_a_round_trip(rows):
    import tempfile

    table = pd.DataFrame(rows, columns=["frame", "xmin", "ymin", "xmax", "ymax"]).sort_values("frame", kind="stable")
    table[["xmax", "ymax"]] += table[["xmin", "ymin"]].to_numpy()
    table = table.assign(**table.iloc[:, 1:] / 100, track=range(5, 5 + len(table)))
    with tempfile.TemporaryDirectory() as folder:
        write_mot(table, f"{folder}/tracks.txt")
        again = read_mot(f"{folder}/tracks.txt")
    columns = [name for name in table if name in again]
    pd.testing.assert_frame_equal(again[columns], table[columns].reset_index(drop=True), check_dtype=False, atol=0.011)


def test_names_become_numbers_and_no_track_minus_one(tmp_path):
    table = pd.DataFrame({"frame": [1, 1], "xmin": [0, 5], "ymin": 0, "xmax": 9, "ymax": 9})
    write_mot(table.assign(track=["b", "a"]), tmp_path / "t.txt")
    assert read_mot(tmp_path / "t.txt")["track"].tolist() == [1, 2]
    write_mot(table, tmp_path / "t.txt")
    assert "track" not in read_mot(tmp_path / "t.txt")
    with pytest.raises(ValueError, match="xmin < xmax"):
        write_mot(table.assign(xmax=-1), tmp_path / "t.txt")
