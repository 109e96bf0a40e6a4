"""Frames out of video files."""

import sys

import numpy as np
import pytest
from PIL import Image

from skcnn.tracking import read_frames, save_frames

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'skcnn[video]'")


@pytest.fixture
def clip(tmp_path):
    """Six frames, each of one grey."""
    path = str(tmp_path / "clip.mp4")
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for grey in range(40, 220, 30):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_frames_are_read_in_order(clip):
    frames = list(read_frames(clip))
    assert {(frame.shape, frame.dtype.name) for frame in frames} == {((48, 64, 3), "uint8")}
    np.testing.assert_allclose([frame.mean() for frame in frames], range(40, 220, 30), atol=4)


def test_frames_are_saved_by_number(clip, tmp_path):
    table = save_frames(clip, tmp_path / "new" / "frames", every=2)
    assert table["frame"].tolist() == [1, 2, 3]
    greys = [np.asarray(Image.open(path)).mean() for path in table["image"]]
    np.testing.assert_allclose(greys, [40, 100, 160], atol=4)
    with pytest.raises(ValueError, match="every=0"):
        save_frames(clip, tmp_path, every=0)


def test_what_is_not_a_video_is_refused_by_name(clip, tmp_path, monkeypatch):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"bad\.mp4 is not a video"):
        next(read_frames(bad))
    with pytest.raises(FileNotFoundError, match=r"none\.mp4"):
        next(read_frames(tmp_path / "none.mp4"))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"skcnn\[video\]"):
        next(read_frames(clip))
