import pandas as pd
import pytest
from PIL import Image
from sklearn.base import BaseEstimator
from squares import squares

from skcnn.cli import main
from skcnn.tracking import ObjectTracker, read_mot, write_mot


@pytest.fixture(scope="module")
def detections():
    return squares(n_frames=12)[0]


@pytest.fixture
def frames(detections, tmp_path):
    folder = tmp_path / "street"
    folder.mkdir()
    for frame, pixels in detections.drop_duplicates("frame")[["frame", "image"]].itertuples(index=False):
        Image.fromarray(pixels).save(folder / f"{frame:04d}.png")
    return folder


def test_text_in_and_text_out(detections, tmp_path, capsys):
    write_mot(detections.drop(columns="image"), tmp_path / "det.txt")
    assert main(["track", str(tmp_path / "det.txt"), "-o", str(tmp_path / "tracks.txt")]) == 0
    (expected,) = ObjectTracker().predict([read_mot(tmp_path / "det.txt")])
    found = read_mot(tmp_path / "tracks.txt")
    columns = ["frame", "xmin", "xmax", "track"]
    pd.testing.assert_frame_equal(found[columns], expected[columns], atol=0.011)
    assert f"tracks.txt: 4 tracks, {len(expected)} boxes in 12 frames" in capsys.readouterr().out


@pytest.mark.slow
def test_a_table_with_appearance(detections, frames, tmp_path):
    source, out = tmp_path / "det.csv", tmp_path / "tracks.csv"
    detections.drop(columns="image").assign(label="square").to_csv(source, index=False)
    command = ["track", str(source), "-o", str(out), "--quiet"]
    features = ["--appearance", "--backbone", "ResNet20"]
    assert main([*command, *features, "--frames", str(frames)]) == 0
    table = pd.read_csv(out)
    assert set(table["track"]) == {1, 2, 3, 4}
    assert set(table["label"]) == {"square"}


def test_mistakes_are_reported(detections, frames, tmp_path, capsys):
    source = tmp_path / "det.csv"
    detections.drop(columns="image").to_csv(source, index=False)
    command = ["track", str(source), "-o", str(tmp_path / "t.txt")]
    with pytest.raises(SystemExit):
        main([*command, "--appearance"])
    assert "--appearance needs the frames" in capsys.readouterr().err
    (frames / "0012.png").unlink()
    assert main([*command, "--frames", str(frames)]) == 1
    assert "has boxes in frame 12" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["track", str(frames), "-o", str(tmp_path / "t.txt")])
    assert "frames need a --detector" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["track", str(source), "-o", str(tmp_path / "t.mp3")])
    assert "ends in .txt or .csv" in capsys.readouterr().err
    assert main(["track", str(tmp_path / "none.txt"), "-o", str(tmp_path / "t.txt")]) == 1
    assert "no such file or folder" in capsys.readouterr().err
    source.write_text("frame,xmin\n1,2\n")
    assert main(command) == 1
    assert "has no column 'ymin'" in capsys.readouterr().err


class Finder(BaseEstimator):
    """Stands in for a saved detector: finds a box wherever it looks."""

    def predict(self, X):
        return [pd.DataFrame({"label": "thing", "xmin": [1.0], "ymin": 2, "xmax": 9, "ymax": 9, "score": 1}) for _ in X]


def test_frames_with_a_detector(frames, tmp_path, monkeypatch):
    monkeypatch.setattr("skcnn.persistence.load", lambda path: Finder())
    monkeypatch.setattr("skcnn.persistence.read_manifest", lambda path: {})
    model = tmp_path / "finder.skcnn"
    model.touch()
    assert main(["track", str(frames), "--detector", str(model), "-o", str(tmp_path / "t.csv")]) == 0
    assert pd.read_csv(tmp_path / "t.csv")["track"].tolist() == [1] * 12
