"""``skcnn stylize``: an image in the style of others."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from skcnn._files import replacing
from skcnn._text import counted, listing
from skcnn.cli._arguments import backbone_name, count, image_path, not_negative, output_path, positive, whole_number
from skcnn.cli._common import add_command, verbose, weights_from
from skcnn.cli._image_files import check_replaces_none

FORMATS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
#: Iterations between two previews.
_EVERY = 10


def add_to(commands: Any) -> None:
    parser = add_command(
        commands,
        "stylize",
        run,
        "make an image with the content of one image in the style of others",
        epilog="The pixels of the result are optimised so that the feature maps of a pretrained network match those\n"
        "of the content, and their Gram matrices those of the style (Gatys et al. 2015). That takes a minute at 256\n"
        "pixels on two cores with a small network, and much longer with VGG19 or more pixels: try --size 256 first.\n\n"
        "examples:\n"
        "  skcnn stylize content.jpg style.jpg -o out.png\n"
        "  skcnn stylize content.jpg style.jpg -o out.png --size 1024 --preview so_far.png\n"
        "  skcnn stylize content.jpg style.jpg -o out.png --style-weight 1000         more style, less content\n"
        "  skcnn stylize content.jpg a.jpg b.jpg -o out.png --backbone network.keras  two styles, another network",
    )
    parser.add_argument("content", type=image_path, metavar="CONTENT", help="the image whose content is kept")
    parser.add_argument(
        "styles",
        type=image_path,
        nargs="+",
        metavar="STYLE",
        help="the image whose style is taken; several are averaged",
    )
    parser.add_argument(
        "-o", "--output", type=_image_output, metavar="FILE", required=True, help="the image to write, such as out.png"
    )
    parser.add_argument(
        "--size",
        type=whole_number,
        default=512,
        metavar="PIXELS",
        help="longer side of the result (default: %(default)s)",
    )
    parser.add_argument(
        "--style-weight",
        type=not_negative,
        default=100.0,
        metavar="W",
        help="weight of the style (default: %(default)g)",
    )
    parser.add_argument(
        "--content-weight",
        type=not_negative,
        default=1.0,
        metavar="W",
        help="weight of the content (default: %(default)g)",
    )
    parser.add_argument(
        "--tv-weight",
        type=not_negative,
        default=5.0,
        metavar="W",
        help="weight of smoothness, the total variation (default: %(default)g)",
    )
    parser.add_argument(
        "--style-scale",
        type=positive,
        default=1.0,
        metavar="FACTOR",
        help="size of the style relative to the content: larger values give larger strokes (default: %(default)g)",
    )
    parser.add_argument(
        "--max-iter",
        type=whole_number,
        default=100,
        metavar="N",
        help="iterations per level of the pyramid, at most (default: %(default)s)",
    )
    parser.add_argument(
        "--preview",
        type=_image_output,
        metavar="FILE",
        help=f"write the image so far to this file, every {_EVERY} iterations",
    )
    network = parser.add_argument_group("network and optimisation")
    network.add_argument(
        "--backbone",
        type=backbone_name,
        default="VGG19",
        metavar="NAME",
        help="see `skcnn backbones`, or the path of a .keras file (default: %(default)s)",
    )
    network.add_argument(
        "--weights",
        action="append",
        metavar="FILE",
        help="a .h5 file with the weights of the network, or the name of published ones (default: pretrained)",
    )
    network.add_argument("--content-layers", nargs="+", metavar="LAYER", help="(default: see StyleTransfer)")
    network.add_argument("--style-layers", nargs="+", metavar="LAYER", help="(default: see StyleTransfer)")
    network.add_argument("--pooling", choices=["avg", "max"], default="avg", help="(default: %(default)s)")
    network.add_argument(
        "--init",
        choices=["content", "noise"],
        default="content",
        help="what the optimisation starts from (default: %(default)s)",
    )
    network.add_argument("--optimizer", choices=["lbfgs", "adam"], default="lbfgs", help="(default: %(default)s)")
    network.add_argument(
        "--seed", type=count, default=0, metavar="N", help="seed of --init noise (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    if not options.content_weight and not options.style_weight:
        options.parser.error("--content-weight 0 and --style-weight 0; expected one of them to be > 0")
    for file in (options.output, options.preview):
        if file:
            check_replaces_none(file, [options.content, *options.styles])
    from skcnn.generative import StyleTransfer

    transfer = StyleTransfer(
        options.backbone,
        weights=weights_from(options),
        content_layers=options.content_layers,
        style_layers=options.style_layers,
        content_weight=options.content_weight,
        style_weight=options.style_weight,
        tv_weight=options.tv_weight,
        style_scale=options.style_scale,
        pooling=options.pooling,
        init=options.init,
        optimizer=options.optimizer,
        max_iter=options.max_iter,
        output_size=options.size,
        random_state=options.seed,
        verbose=verbose(options),
    )

    def preview(step: Any) -> None:
        if options.preview and step.iteration % _EVERY == 0:
            _write(step.preview(), options.preview)

    transfer.fit(options.styles)
    (image,), losses = transfer.transform([options.content], callback=preview, return_losses=True)
    _write(image, options.output)
    level, n_done = losses[losses["level"] == losses["level"].max()], int((losses["iteration"] > 0).sum())
    first, last = level.iloc[0], level.iloc[-1]
    print(
        f"{options.output}: {image.shape[1]} x {image.shape[0]} pixels, {counted(n_done, 'iteration')}; loss of "
        f"the last level {first['loss']:.4g} -> {last['loss']:.4g} (content {last['content']:.3g}, style "
        f"{last['style']:.3g})"
    )


def _write(pixels: Any, path: str) -> None:
    from PIL import Image

    image = Image.fromarray(pixels)
    with replacing(path, durable=False) as unfinished:
        image.save(unfinished, format=Image.registered_extensions()[Path(path).suffix.lower()], quality=95)


def _image_output(text: str) -> str:
    """Read the path of an image to write."""
    if Path(text).suffix.lower() not in FORMATS:
        raise argparse.ArgumentTypeError(f"got {text}; expected a name that ends in {listing(FORMATS)}")
    return output_path(text)
