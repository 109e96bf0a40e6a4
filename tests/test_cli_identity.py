"""``skcnn fit``, ``predict`` and ``evaluate`` with models that compare identities."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import skcnn
from skcnn.cli import main
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.metric_learning import FaceRecognizer, FaceVerifier
from skcnn.metrics import identification_frame, identity_pairs, verification_frame
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


@pytest.fixture(scope="module")
def folders(there):
    """The images of the people, in one folder per person."""
    root = there / "folders"
    for path in there.glob("p*-*.png"):
        (root / path.name[:2]).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path.name[:2])
    return root


def numbers_in(out, label):
    """Return the numbers that are printed behind a label: value, low and high, as far as they are there."""
    line = next(line for line in out.splitlines() if line.startswith(label))
    return [float(number) for number in re.findall(r"[\d.]+", line.removeprefix(label))]


def test_pairs_of_all_images_are_evaluated(there, folders, capsys):
    assert main(["evaluate", str(there / "verifier.skcnn"), str(folders), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "8 images of 4 people: 4 pairs of one person, 24 of two" in out
    paths = sorted(folders.glob("*/*.png"))
    y = np.array([path.parent.name for path in paths])
    pairs, is_same = identity_pairs(y)
    model = skcnn.load(there / "verifier.skcnn")
    decision = model.decision_function([(str(paths[first]), str(paths[second])) for first, second in pairs])
    frame = verification_frame(is_same, decision, people=y[pairs], far=[0.1], random_state=0)
    for label, name in (("Equal error rate", "eer"), ("TAR at FAR 0.1 ", "tar@far=0.1")):
        assert numbers_in(out, label) == pytest.approx(frame.loc[name, ["value", "low", "high"]].tolist(), abs=6e-4)
    assert numbers_in(out, "False accept rate")[0] == pytest.approx(np.mean(decision[~is_same] >= 0), abs=6e-4)
    assert numbers_in(out, "False reject rate")[0] == pytest.approx(np.mean(decision[is_same] < 0), abs=6e-4)
    assert "24 impostor pairs are fewer than 1 / far" in out
    assert "distance 0.2000, fixed" in out


def test_pairs_of_a_table_are_evaluated(there, capsys):
    rows = [["p0-0.png", "p0-1.png", 1], ["p0-0.png", "p1-0.png", 0], ["p2-0.png", "p3-1.png", 0]]
    pd.DataFrame(rows, columns=["a", "b", "same"]).to_csv(there / "labelled.csv", index=False)
    pd.DataFrame(rows, columns=["a", "b", "same"])[["same", "a", "b"]].to_csv(there / "first.csv", index=False)
    for arguments in (["labelled.csv"], ["first.csv", "--label-column", "same"]):
        assert main(["evaluate", str(there / "verifier.skcnn"), str(there / arguments[0]), *arguments[1:]]) == 0
        out = capsys.readouterr().out
        assert "3 pairs: 1 pair of one person, 2 of two" in out
        assert "There are no intervals" in out
        assert len(numbers_in(out, "Equal error rate")) == 1


def test_people_are_evaluated(there, folders, capsys):
    assert main(["evaluate", str(there / "people.skcnn"), str(folders), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "8 images of 4 people: 6 of enrolled people" in out
    paths = [str(path) for path in sorted(folders.glob("*/*.png"))]
    y = np.array([path.split("/")[-2] for path in paths])
    model = skcnn.load(there / "people.skcnn")
    frame = identification_frame(y, model.decision_function(paths), classes=model.classes_, far=[0.1], random_state=0)
    assert numbers_in(out, "Nearest is right (rank 1)")[0] == pytest.approx(frame.loc["rank1", "value"], abs=6e-4)
    assert numbers_in(out, "DIR at FAR 0.1 ")[0] == pytest.approx(frame.loc["dir@far=0.1", "value"], abs=6e-4)
    found = model.predict(paths)
    expected = np.where(y == "p3", "unknown", y)
    assert numbers_in(out, "Accuracy, of all images")[0] == pytest.approx(np.mean(found == expected), abs=6e-4)
    assert numbers_in(out, "Accepted, of other people")[0] == pytest.approx(np.mean(found[y == "p3"] != "unknown"))


def test_images_of_the_training_set_are_counted(there, folders, capsys):
    model, known = skcnn.load(there / "people.skcnn"), [str(there / "p0-0.png")]
    skcnn.save(model, there / "known.skcnn", training_images=known)
    assert main(["evaluate", str(there / "known.skcnn"), str(folders), "--quiet"]) == 0
    assert "1 of 8 images were in its training" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "data", "more", "message"),
    [
        ("verifier.skcnn", "pairs.csv", [], "expected two columns of paths and a third with 1"),
        ("verifier.skcnn", "odd.csv", [], "has 'yes' in row 1; expected 1 (one person) or 0 (two)"),
        ("verifier.skcnn", "folders", ["--html", "r.html"], "--html needs a model of classes"),
        ("people.skcnn", "strangers.csv", [], "has images of nobody who is enrolled"),
    ],
)
def test_errors_of_evaluation(there, folders, tmp_path, monkeypatch, model, data, more, message, capsys):
    monkeypatch.chdir(tmp_path)
    (there / "odd.csv").write_text("a,b,same\np0-0.png,p0-1.png,yes\n")
    (there / "strangers.csv").write_text("path,label\np0-0.png,x\n")
    assert main(["evaluate", str(there / model), str(there / data), *more]) == 1
    assert message in capsys.readouterr().err
