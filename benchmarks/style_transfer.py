"""Style transfer: losses, weights that trade off, time and memory of StyleTransfer; and images to look at.

    python benchmarks/style_transfer.py images CONTENT STYLE [CONTENT STYLE ...] --network squeezenet.keras --out FOLDER
    python benchmarks/style_transfer.py weights CONTENT STYLE --network squeezenet.keras
    python benchmarks/style_transfer.py memory CONTENT STYLE --network squeezenet.keras --tile-size 768

``images`` writes content, style and result of each pair side by side, and prints losses and seconds. ``weights`` prints
the costs of results for several weights of style and of content. ``memory`` optimises an image of 1024 x 1024
(``--side``) at that size alone, for ``--max-iter`` iterations, and prints seconds per iteration (of all cores, after
the first one) and the peak of memory of the process; give ``--tile-size 0`` for the whole image at once.
``--set name=value`` changes a parameter.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _reports import add_parameters
from PIL import Image

from skcnn.generative import StyleTransfer
from skcnn.images import as_images

#: Weights of the style at a content weight of 1, and of the content at a style weight of 100.
STYLE_WEIGHTS, CONTENT_WEIGHTS = (1.0, 10.0, 100.0, 1000.0), (0.1, 1.0, 10.0)


def measure_images(transfer: StyleTransfer, pairs: list[tuple[str, str]], out: Path) -> pd.DataFrame:
    """Write an image per pair; return losses before and after, of the last level, and seconds."""
    rows = []
    for number, (content, style) in enumerate(pairs, 1):
        start, work = time.perf_counter(), time.process_time()
        (image,), losses = transfer.fit([style]).transform([content], return_losses=True)
        seconds, work = time.perf_counter() - start, time.process_time() - work
        side_by_side(content, style, image).save(out / f"style_{number}.png")
        Image.fromarray(image).save(out / f"style_{number}_result.png")
        last = losses[losses["level"] == losses["level"].max()]
        falls = losses.groupby("level")["loss"].apply(lambda values: values.is_monotonic_decreasing).all()
        rows.append(
            {
                "size": f"{image.shape[1]} x {image.shape[0]}",
                "iterations": len(losses),
                "loss before": last["loss"].iloc[0],
                "after": last["loss"].iloc[-1],
                "falls in each": falls,
                "content": last["content"].iloc[-1],
                "style before": losses["style"].iloc[0],
                "style after": last["style"].iloc[-1],
                "seconds": seconds,
                "of processors": work,
            }
        )
    return pd.DataFrame(rows)


def side_by_side(content: str, style: str, result: np.ndarray) -> Image.Image:
    """Return content, style and result, of the same height."""
    height = len(result)
    images = as_images([content, style])
    parts = []
    for row in range(2):
        own = images.size(row)
        parts.append(images.decode(row, (height, max(1, round(own[1] * height / own[0])))))
    return Image.fromarray(np.concatenate([*parts, result], axis=1))


def measure_weights(transfer: StyleTransfer, content: str, style: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the costs of results by the weight of the style, and by that of the content."""
    tables = []
    for name, weights in (("style_weight", STYLE_WEIGHTS), ("content_weight", CONTENT_WEIGHTS)):
        rows = []
        for weight in weights:
            given = {"style_weight": 100.0, "content_weight": 1.0, name: weight}
            _, losses = transfer.set_params(**given).fit([style]).transform([content], return_losses=True)
            last = losses.iloc[-1]
            rows.append({name: weight, "content": last["content"], "style": last["style"]})
        tables.append(pd.DataFrame(rows))
    return tables[0], tables[1]


def measure_memory(transfer: StyleTransfer, content: str, style: str, side: int) -> dict[str, float]:
    """Return seconds per iteration and the peak of memory in GiB, for a square image."""
    transfer.set_params(output_size=(side, side), n_levels=1).fit([style])
    times = []
    transfer.transform([content], callback=lambda step: times.append(time.process_time()))
    seconds = times[-1] - times[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds per iteration": seconds / (len(times) - 2), "peak of memory, GiB": peak}


def main(arguments: list[str] | None = None) -> None:
    """Measure what the arguments say, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["images", "weights", "memory"])
    parser.add_argument("paths", nargs="+", metavar="IMAGE", help="contents and styles, in turn")
    parser.add_argument("--network", default="VGG19", help="a name, or the path of a .keras file (default: VGG19)")
    parser.add_argument("--size", type=int, default=256, help="longer side of results (default: %(default)s)")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--max-iter", type=int, default=100)
    parser.add_argument("--tile-size", type=int, default=768)
    parser.add_argument("--out", type=Path, default=Path())
    add_parameters(parser)
    options = parser.parse_args(arguments)
    if len(options.paths) % 2:
        parser.error(f"{len(options.paths)} images; expected contents and styles, in turn")
    transfer = StyleTransfer(
        options.network,
        output_size=options.size,
        max_iter=options.max_iter,
        tile_size=options.tile_size or None,
        random_state=0,
        verbose=0,
    ).set_params(**dict(options.set))
    pairs = list(zip(options.paths[::2], options.paths[1::2], strict=True))
    if options.what == "images":
        print(measure_images(transfer, pairs, options.out).round(5).to_string(index=False))
    elif options.what == "weights":
        for table in measure_weights(transfer, *pairs[0]):
            print(table.round(6).to_string(index=False))
    else:
        found = measure_memory(transfer, *pairs[0], options.side)
        print(f"tile_size={transfer.tile_size}", ", ".join(f"{name} {value:.2f}" for name, value in found.items()))


if __name__ == "__main__":
    main()
