import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import textwrap
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from PIL import Image

from skcnn.datasets import _flowers, _remote, fetch_flowers

CLASSES = ["daisy", "dandelion", "roses", "sunflowers", "tulips"]


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(content))


def make_archive(path: Path, evil: dict | None = None) -> Path:
    """Write a small archive of the form of the real one: 5 classes, 2 images each, a licence."""
    image = io.BytesIO()
    Image.new("RGB", (8, 8), "yellow").save(image, "JPEG")
    with tarfile.open(path, "w:gz") as tar:
        add(tar, "flower_photos/LICENSE.txt", b"CC BY 2.0")
        for name in CLASSES:
            add(tar, f"flower_photos/{name}", type=tarfile.DIRTYPE, mode=0o755)
            for number in (1, 2):
                add(tar, f"flower_photos/{name}/{number}.jpg", image.getvalue())
        if evil:
            add(tar, **evil)
    return path


def record(archive: Path, **changes) -> _remote.RemoteArchive:
    content = archive.read_bytes()
    return _flowers._FLOWERS._replace(
        **{
            "url": archive.as_uri(),
            "n_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            **changes,
        }
    )


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return make_archive(tmp_path / "flower_photos.tgz")


@pytest.fixture
def remote(archive: Path, monkeypatch: pytest.MonkeyPatch) -> _remote.RemoteArchive:
    monkeypatch.setattr(_flowers, "_FLOWERS", record(archive))
    return _flowers._FLOWERS


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_published_record():
    # https://github.com/tensorflow/datasets/blob/master/tensorflow_datasets/url_checksums/tf_flowers.txt
    line = """\
http://download.tensorflow.org/example_images/flower_photos.tgz    228813984                \
4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c
"""
    url, n_bytes, sha256 = line.split()
    remote = _flowers._FLOWERS
    assert remote.url == url.replace("http://", "https://storage.googleapis.com/")
    assert (remote.n_bytes, remote.sha256) == (int(n_bytes), sha256)


def test_fetch(remote, home: Path):
    flowers = fetch_flowers(data_home=home)
    assert flowers.data.shape == (10, 1)
    assert flowers.target_names == CLASSES
    assert flowers.target.tolist() == [name for name in CLASSES for _ in range(2)]
    assert "Creative Commons Attribution 2.0" in flowers.DESCR
    assert flowers.passed_over["not_image"] == 1
    assert os.listdir(home) == ["flower_photos"]
    with Image.open(flowers.data["path"][9]) as image:
        assert image.size == (8, 8)
    X, y = fetch_flowers(data_home=home, return_X_y=True)
    assert X.equals(flowers.data)
    assert y.tolist() == flowers.target.tolist()


def test_second_call_downloads_nothing(remote, archive: Path, home: Path):
    fetch_flowers(data_home=home)
    archive.unlink()
    assert len(fetch_flowers(data_home=home, download_if_missing=False).data) == 10


def test_data_home_is_that_of_scikit_learn(remote, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(home))
    fetch_flowers()
    assert (home / "flower_photos" / "tulips" / "2.jpg").is_file()


def test_download_if_missing_is_false(remote, home: Path):
    with pytest.raises(OSError, match=r"not in .*flower_photos', and download_if_missing is False.*unpack"):
        fetch_flowers(data_home=home, download_if_missing=False)
    assert os.listdir(home) == []


def test_wrong_checksum(archive: Path, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_flowers, "_FLOWERS", record(archive, sha256="0" * 64))
    with pytest.raises(OSError, match=r"SHA-256 digest is [0-9a-f]{64}, not 0{64}"):
        fetch_flowers(data_home=home)
    assert os.listdir(home) == []


@pytest.mark.parametrize(
    "evil",
    [
        {"name": "/tmp/evil.jpg", "content": b"x"},
        {"name": "flower_photos/../../evil.jpg", "content": b"x"},
        {"name": "../evil.jpg", "content": b"x"},
        {"name": "other/evil.jpg", "content": b"x"},
        {"name": "C:/evil.jpg", "content": b"x"},
        {"name": "flower_photos\\..\\evil.jpg", "content": b"x"},
        {"name": "flower_photos/link.jpg", "type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"name": "flower_photos/inside.jpg", "type": tarfile.SYMTYPE, "linkname": "daisy/1.jpg"},
        {"name": "flower_photos/hard.jpg", "type": tarfile.LNKTYPE, "linkname": "flower_photos/daisy/1.jpg"},
        {"name": "flower_photos/device", "type": tarfile.CHRTYPE},
        {"name": "flower_photos/pipe", "type": tarfile.FIFOTYPE},
    ],
    ids=lambda evil: evil["name"],
)
def test_evil_members_are_refused_before_anything_is_written(
    evil: dict, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_flowers, "_FLOWERS", record(make_archive(tmp_path / "evil.tgz", evil)))
    monkeypatch.setattr(tarfile.TarFile, "extractall", lambda *args, **kwargs: pytest.fail("unpacked"))
    with pytest.raises(OSError, match="The archive was not unpacked: its member "):
        fetch_flowers(data_home=home)
    assert os.listdir(home) == []
    assert sorted(os.listdir(tmp_path)) == ["evil.tgz", "home"]


def fake_urlopen(archive: Path, failures: list):
    """Return a urlopen that first fails as told: by an exception, or by ending after so many bytes."""
    calls = []

    def urlopen(url, timeout):
        calls.append(url)
        failure = failures[len(calls) - 1] if len(calls) <= len(failures) else None
        if isinstance(failure, BaseException):
            raise failure
        return io.BytesIO(archive.read_bytes()[:failure])

    return urlopen, calls


@pytest.mark.parametrize(
    "failure",
    [URLError("no route to host"), TimeoutError("timed out"), ConnectionResetError(), IncompleteRead(b""), 100],
    ids=["no route", "timeout", "reset", "incomplete", "short"],
)
def test_broken_connections_are_tried_again(
    failure, remote, archive: Path, home: Path, monkeypatch: pytest.MonkeyPatch
):
    urlopen, calls = fake_urlopen(archive, [failure])
    monkeypatch.setattr(_remote, "urlopen", urlopen)
    with pytest.warns(UserWarning, match="trying again"):
        flowers = fetch_flowers(data_home=home, delay=0)
    assert len(flowers.data) == 10
    assert len(calls) == 2


def test_a_download_that_stays_short(remote, archive: Path, home: Path, monkeypatch: pytest.MonkeyPatch):
    urlopen, calls = fake_urlopen(archive, [100, 100])
    monkeypatch.setattr(_remote, "urlopen", urlopen)
    with (
        pytest.warns(UserWarning, match="trying again"),
        pytest.raises(OSError, match=r"failed: it ended after 100 of .* bytes\. .*unpack it in"),
    ):
        fetch_flowers(data_home=home, n_retries=1, delay=0)
    assert len(calls) == 2
    assert os.listdir(home) == []


def test_a_file_that_is_gone_is_not_tried_again(remote, archive: Path, home: Path, monkeypatch: pytest.MonkeyPatch):
    gone = HTTPError(remote.url, 404, "Not Found", None, None)
    urlopen, calls = fake_urlopen(archive, [gone])
    monkeypatch.setattr(_remote, "urlopen", urlopen)
    with pytest.raises(OSError, match="404"):
        fetch_flowers(data_home=home)
    gone.close()
    assert len(calls) == 1


def test_interrupted_download_leaves_nothing(remote, archive: Path, home: Path, monkeypatch: pytest.MonkeyPatch):
    class Interrupted(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise KeyboardInterrupt
            return super().read(100)

    monkeypatch.setattr(_remote, "urlopen", lambda url, timeout: Interrupted(archive.read_bytes()))
    with pytest.raises(KeyboardInterrupt):
        fetch_flowers(data_home=home)
    assert os.listdir(home) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize("where", ["shutil.copyfileobj", "os.rename"])
def test_killed_process_leaves_no_half_folder(where: str, remote, home: Path):
    # The first is called while the archive arrives; the second when it is unpacked, but not yet in its place.
    code = f"""
        import os, shutil, signal
        from skcnn.datasets import _flowers, _remote
        _flowers._FLOWERS = _remote.RemoteArchive(*{tuple(remote)!r})
        {where} = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
        _flowers.fetch_flowers(data_home={str(home)!r})
    """
    process = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=os.environ, check=False)
    assert process.returncode == -signal.SIGKILL
    assert not (home / "flower_photos").exists()
    assert len(fetch_flowers(data_home=home).data) == 10


def test_two_processes_at_once(remote, home: Path, monkeypatch: pytest.MonkeyPatch):
    real = os.rename

    def other_process_is_first(source, target):
        monkeypatch.setattr(os, "rename", real)
        fetch_flowers(data_home=home)
        real(source, target)

    monkeypatch.setattr(os, "rename", other_process_is_first)
    assert len(fetch_flowers(data_home=home).data) == 10
    assert os.listdir(home) == ["flower_photos"]
