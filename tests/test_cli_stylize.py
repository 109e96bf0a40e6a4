import numpy as np
import pytest
from PIL import Image
from style_toy import build_style_toy, patterns

from skcnn.cli import main
from skcnn.generative import StyleTransfer

LAYERS = ["--content-layers", "middle", "--style-layers", "fine", "pool", "coarse"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A content, a style and a network, in a folder."""
    folder = tmp_path_factory.mktemp("stylize")
    for name, pixels in zip(("content", "style"), patterns(), strict=True):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    build_style_toy().save(folder / "toy.keras")
    return folder


def command(files, out, *more):
    images = [str(files / "content.png"), str(files / "style.png")]
    network = ["--backbone", str(files / "toy.keras"), *LAYERS, "--size", "32", "--max-iter", "3", "--quiet"]
    return ["stylize", *images, "-o", str(out), *network, *more]


def test_an_image_is_written(files, tmp_path, capsys):
    out = tmp_path / "out.png"
    assert main(command(files, out, "--preview", str(tmp_path / "so_far.jpg"))) == 0
    layers = {"content_layers": "middle", "style_layers": ["fine", "pool", "coarse"]}
    transfer = StyleTransfer(files / "toy.keras", **layers, max_iter=3, output_size=32).fit([files / "style.png"])
    with Image.open(out) as image, Image.open(tmp_path / "so_far.jpg") as preview:
        assert image.format == "PNG"
        np.testing.assert_array_equal(image, transfer.transform([files / "content.png"])[0])
        assert preview.format == "JPEG"
        assert preview.size == image.size == (32, 27)
    printed = capsys.readouterr().out
    assert "out.png: 32 x 27 pixels, 3 iterations; loss of the last level " in printed


def test_options_reach_the_transfer(files, tmp_path):
    more = ["--style-weight", "0", "--tv-weight", "0", "--optimizer", "adam", "--pooling", "max", "--style-scale", "2"]
    assert main([*command(files, tmp_path / "out.bmp", *more)]) == 0
    with Image.open(tmp_path / "out.bmp") as image, Image.open(files / "content.png") as content:
        found, own = (np.asarray(one, int) for one in (image, content.resize((32, 27), Image.Resampling.BILINEAR)))
    assert np.abs(found - own).max() <= 1  # nothing but the content counts


def test_mistakes_are_reported(files, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(command(files, tmp_path / "out.txt"))
    assert "expected a name that ends in .png" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(command(files, tmp_path / "out.png", "--style-weight", "-1"))
    assert "expected a number >= 0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(command(files, tmp_path / "out.png", "--style-weight", "0", "--content-weight", "0"))
    assert "expected one of them to be > 0" in capsys.readouterr().err
    missing = command(files, tmp_path / "out.png")
    missing[2] = str(tmp_path / "none.png")
    assert main(missing) == 1
    assert "none.png: no such file or folder; expected an image" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()
    missing = command(files, tmp_path / "out.png")
    missing[missing.index("--backbone") + 1] = str(tmp_path / "none.keras")
    with pytest.raises(SystemExit):
        main(missing)
    assert "none.keras: no such file; expected the path of a Keras model, or a name" in capsys.readouterr().err


@pytest.mark.parametrize("image", ["content.png", "style.png"])
def test_no_image_that_is_read_is_replaced(image, files, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(StyleTransfer, "fit", None)
    before = (files / image).read_bytes()
    for arguments in (
        command(files, files / image),
        command(files, tmp_path / "out.png", "--preview", str(files / image)),
    ):
        assert main(arguments) == 1
        assert f"{image} is one of the images, and would be replaced; give another name" in capsys.readouterr().err
    assert (files / image).read_bytes() == before
