"""``skcnn predict`` with models that compare identities."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import skcnn
from skcnn.cli import main
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.metric_learning import FaceRecognizer, FaceVerifier
from tests.toy import build_toy


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A folder with images, a verifier, a recognizer, and a table of pairs."""
    folder = tmp_path_factory.mktemp("people")
    generator = np.random.default_rng(0)
    for person in range(4):
        face = generator.integers(0, 220, (16, 16, 3))
        for number in range(2):
            pixels = np.clip(face + generator.integers(0, 30, face.shape), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"p{person}-{number}.png")
    paths = sorted(folder.glob("*.png"))
    X, y = [str(path) for path in paths], [path.name[:2] for path in paths]
    embedding = BottleneckFeatures(build_toy(weights="toy"), verbose=0)
    skcnn.save(FaceVerifier(embedding, threshold=0.2).fit(X, y), folder / "verifier.skcnn")
    recognizer = FaceRecognizer(embedding, threshold=0.2).fit(X, y).forget("p3")
    skcnn.save(recognizer, folder / "people.skcnn")
    pd.DataFrame([["p0-0.png", "p0-1.png"], ["p0-0.png", "p1-0.png"]], columns=["a", "b"]).to_csv(
        folder / "pairs.csv", index=False
    )
    return folder


def test_people_are_enrolled(there, tmp_path, capsys):
    folder = tmp_path / "faces"
    for path in there.glob("p*.png"):
        for copy in range(2):
            place = folder / path.name[:2] / f"{copy}-{path.name}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    model = str(tmp_path / "faces.skcnn")
    arguments = ["fit", str(folder), "-o", model, "--backbone", "ResNet20", "--image-size", "16"]
    assert main([*arguments, "--task", "identity", "--far", "0.1", "--cv", "2"]) == 0
    out = capsys.readouterr().out
    assert "16 images of 4 people: p0, p1, p2, p3" in out
    assert "Of 16 images of people who were held out" in out
    assert "2-fold cross-validation" in out
    loaded = skcnn.load(model)
    assert loaded.far == 0.1
    assert loaded.classes_.tolist() == ["p0", "p1", "p2", "p3"]
    for wrong in (["--task", "identity", "--fine-tune"], ["--far", "0.1"]):
        with pytest.raises(SystemExit) as stop:
            main([*arguments, *wrong])
        assert stop.value.code == 2


def test_who_it_is(there, capsys):
    model, images = skcnn.load(there / "people.skcnn"), [str(there / "p0-1.png"), str(there / "p3-0.png")]
    assert main(["predict", str(there / "people.skcnn"), *images]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    for (path, name, distance), image in zip(lines, images, strict=True):
        expected = model.who_is_it(image)
        assert (path, name) == (image, expected.name)
        assert float(distance) == pytest.approx(expected.distance, abs=1e-4)
    assert main(["predict", str(there / "people.skcnn"), *images, "-o", str(there / "who.csv")]) == 0
    assert pd.read_csv(there / "who.csv").columns.tolist() == ["path", "label", "distance"]


def test_whether_it_is_the_same_person(there, capsys):
    assert main(["predict", str(there / "verifier.skcnn"), str(there / "pairs.csv")]) == 0
    first, second = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert first[:2] == [str(there / "p0-0.png"), str(there / "p0-1.png")]
    model = skcnn.load(there / "verifier.skcnn")
    decision = model.decision_function([tuple(first[:2]), tuple(second[:2])])
    assert [int(first[2]), int(second[2])] == (decision >= 0).astype(int).tolist()
    assert float(second[3]) == pytest.approx(0.2 - decision[1], abs=1e-4)
    assert main(["predict", str(there / "verifier.skcnn"), str(there / "pairs.csv"), "-o", str(there / "s.csv")]) == 0
    assert pd.read_csv(there / "s.csv").columns.tolist() == ["a", "b", "same", "distance"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verifier.skcnn", "p0-0.png"], "give one .csv file with two columns"),
        (["verifier.skcnn", "s3.csv"], "has 3 columns; expected two"),
        (["people.skcnn", "p0-0.png", "--top", "2"], "--top 2 needs a model of classes"),
    ],
)
def test_errors_say_what_is_expected(there, arguments, message, capsys):
    (there / "s3.csv").write_text("a,b,c\n1,2,3\n")
    files = [str(there / one) if "." in one else one for one in arguments]
    assert main(["predict", *files]) != 0
    assert message in capsys.readouterr().err
