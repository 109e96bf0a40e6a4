"""Are planted duplicates found, and is what is found a duplicate? Beside perceptual hashes.

One command::

    python benchmarks/duplicates.py --data flowers/ --json duplicates.json

Images of a folder are the one part of a split, changed copies of some of them the other: as JPEG of quality 50, at
half the size, mirrored, cropped (5 % and 10 % of each side's length in all, from the middle, and 5 % at a corner), and
all of that together. A copy is found if the pair of it and its original is reported.

A reported pair is right if it was planted, if both are copies of one image, or if the two originals are known to be
duplicates: those of the flower images that are listed in this file were looked at, one by one, and are the same
image (recoloured, re-edited, cropped) or the next shot of a series. Any other pair counts as wrong;
``--images`` draws these for looking at.

The rivals, from ``imagehash`` where that is installed: perceptual and difference hashes of the image and of its
mirror image, at the threshold that finds most while 99 % of the pairs are right.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from _reports import add_json, write_report
from _rounds import describe, machine, table, timed
from PIL import Image, ImageOps

from skcnn.datasets import load_image_folder
from skcnn.images import decode_bytes
from skcnn.model_selection import find_duplicates

Pair = tuple[int, int]


def _crop(image: Image.Image, cut: float, left: float, top: float) -> Image.Image:
    width, height = image.size
    x, y = round(left * width), round(top * height)
    return image.crop((x, y, x + round((1 - cut) * width), y + round((1 - cut) * height)))


def _half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


#: How each kind of copy is made, and the quality of its JPEG file.
KINDS: dict[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    "JPEG quality 50": (lambda image: image, 50),
    "half the size": (_half, 90),
    "mirrored": (ImageOps.mirror, 90),
    "5 % cropped, middle kept": (lambda image: _crop(image, 0.05, 0.025, 0.025), 90),
    "5 % cropped, corner kept": (lambda image: _crop(image, 0.05, 0, 0), 90),
    "5 % cropped off each side": (lambda image: _crop(image, 0.1, 0.05, 0.05), 90),
    "10 % cropped, corner kept": (lambda image: _crop(image, 0.1, 0, 0), 90),
    "mirrored, 5 % off each side, half the size, quality 50": (
        lambda image: _half(_crop(ImageOps.mirror(image), 0.1, 0.05, 0.05)),
        50,
    ),
}

#: Pairs of the flower images that were looked at and are duplicates.
KNOWN = {
    ("daisy/9467543719_c4800becbb_m.jpg", "daisy/11834945233_a53b7a92ac_m.jpg"),
    ("daisy/19177263840_6a316ea639.jpg", "daisy/19178753159_a471bf4b6b.jpg"),
    ("dandelion/284497199_93a01f48f6.jpg", "dandelion/284497233_c19801752c.jpg"),
    ("dandelion/506659320_6fac46551e.jpg", "dandelion/506660896_c903cca1f0.jpg"),
    ("dandelion/4278757393_bca8415ed4_n.jpg", "dandelion/4654848357_9549351e0b_n.jpg"),
    ("dandelion/8689302100_be76a16ccc_n.jpg", "dandelion/8689302980_9bd2f7b9fe_n.jpg"),
    ("dandelion/8978962053_0727b41d26.jpg", "dandelion/8980164828_04fbf64f79_n.jpg"),
    ("dandelion/8979062599_86cac547b8.jpg", "dandelion/8979087213_28f572174c.jpg"),
    ("dandelion/8979062599_86cac547b8.jpg", "dandelion/8980273068_cf7e8b880a_n.jpg"),
    ("dandelion/8979087213_28f572174c.jpg", "dandelion/8980273068_cf7e8b880a_n.jpg"),
    ("dandelion/17161833794_e1d92259d2_m.jpg", "dandelion/18304194360_2a4a0be631_m.jpg"),
    ("dandelion/17482158576_86c5ebc2f8.jpg", "dandelion/23192507093_2e6ec77bef_n.jpg"),
    ("dandelion/18243351371_5fda92ac0a_n.jpg", "dandelion/18999743619_cec3f39bee.jpg"),
    ("dandelion/19064700925_b93d474e37.jpg", "dandelion/19067907051_16d530c7d2.jpg"),
    ("roses/4608559939_3487bf3b62_n.jpg", "roses/4609168052_3d4e1d3804_n.jpg"),
    ("roses/12406418663_af20dc225f_n.jpg", "roses/12407768513_3440238148_n.jpg"),
    ("sunflowers/2823659190_afdabee45c.jpg", "sunflowers/2979133707_84aab35b5d.jpg"),
    ("sunflowers/6495554833_86eb8faa8e_n.jpg", "sunflowers/6495559397_61d01c0c57.jpg"),
    ("sunflowers/6606809995_edee55b770_m.jpg", "sunflowers/6606813305_c992231d29_m.jpg"),
    ("sunflowers/14741866338_bdc8bfc8d5_n.jpg", "sunflowers/14925398441_107f3e0304_n.jpg"),
    ("sunflowers/14925397351_c7f209d804_n.jpg", "sunflowers/14925397651_97dcddc383_n.jpg"),
    ("sunflowers/17433282043_441b0a07f4_n.jpg", "sunflowers/22429946721_e17a12cb39_n.jpg"),
    ("tulips/2333321040_3960b9d67e_n.jpg", "tulips/2344751399_71620039f2_n.jpg"),
    ("tulips/5635347336_bc1400e939_n.jpg", "tulips/5700394524_dc6f8fa9cd_n.jpg"),
}


def plant(paths: list[str], copies: int, seed: int) -> tuple[list[bytes], list[tuple[str, int]]]:
    """Return changed copies, and the kind and the original's row of each; every kind has originals of its own."""
    generator = np.random.default_rng(seed)
    planted, origins = [], []
    for kind, (change, quality) in KINDS.items():
        for row in generator.choice(len(paths), min(copies, len(paths)), replace=False):
            file = BytesIO()
            change(decode_bytes(Path(paths[row]).read_bytes())).save(file, "JPEG", quality=quality)
            planted.append(file.getvalue())
            origins.append((kind, int(row)))
    return planted, origins


def judge(pairs: set[Pair], paths: list[str], root: str, origins: list[tuple[str, int]]) -> dict[str, Any]:
    """Return the fraction found of each kind, how many of the pairs are right, and those that are not."""
    first = len(paths)
    original = [*range(first), *(row for _, row in origins)]
    names = [Path(os.path.relpath(path, root)).as_posix() for path in paths]
    known = {frozenset(pair) for pair in KNOWN}
    wrong = [
        (a, b)
        for a, b in sorted(pairs)
        if original[a] != original[b] and frozenset((names[original[a]], names[original[b]])) not in known
    ]
    found = {
        kind: np.mean([(row, first + place) in pairs for place, (k, row) in enumerate(origins) if k == kind])
        for kind in KINDS
    }
    return {"found": found, "pairs": len(pairs), "precision": 1 - len(wrong) / max(len(pairs), 1), "wrong": wrong}


def by_hash(name: str, size: int, X: list[bytes], judged: Callable[[set[Pair]], dict[str, Any]]) -> dict[str, Any]:
    """Return the best that a perceptual hash does while 99 % of its pairs are right."""
    import imagehash

    def bits() -> tuple[np.ndarray, np.ndarray]:
        images = [decode_bytes(content) for content in X]
        function = getattr(imagehash, name)
        return tuple(  # type: ignore[return-value]
            np.array([function(turn(image), hash_size=size).hash.ravel() for image in images], np.float32)
            for turn in (lambda image: image, ImageOps.mirror)
        )

    seconds, (plain, mirrored) = timed(bits)
    distance = np.full((len(X), len(X)), size**2, np.float32)
    for other in (plain, mirrored):
        distance = np.minimum(distance, other @ (1 - plain).T + (1 - other) @ plain.T)
    distance = np.rint(distance[np.triu_indices(len(X), 1)])
    a, b = np.triu_indices(len(X), 1)
    best: dict[str, Any] = {}
    for most in range(size**2 // 3):
        near = np.flatnonzero(distance <= most)
        result = judged(set(zip(a[near].tolist(), b[near].tolist(), strict=True)))
        if best and result["precision"] < 0.99:
            break
        best = {**result, "seconds": seconds, "distance": most}
    return best


def draw(pairs: list[Pair], X: list[bytes], path: str) -> None:
    """Draw pairs beside each other, four pairs a line."""
    sheet = Image.new("RGB", (4 * 340, max(1, -(-len(pairs) // 4)) * 170), "white")
    for place, pair in enumerate(pairs):
        for side, row in enumerate(pair):
            image = decode_bytes(X[row]).resize((160, 160))
            sheet.paste(image, ((place % 4) * 340 + side * 164, (place // 4) * 170))
    sheet.save(path)


def as_markdown(report: dict[str, Any]) -> str:
    """Return the tables."""
    ways = report["ways"]
    lines = [[kind, *(f"{way['found'][kind]:.1%}" for way in ways.values())] for kind in KINDS]
    lines.append(["pairs reported", *(f"{way['pairs']:,}" for way in ways.values())])
    lines.append(["of them right", *(f"{way['precision']:.2%}" for way in ways.values())])
    alone = report["originals alone"]
    return (
        f"{describe(report['machine'])}. {report['originals']:,} images, {report['copies']} copies of each kind; "
        f"load average {report['load']:.1f}.\n\n"
        f"{table(['found', *ways], lines)}\n\n"
        f"`find_duplicates` on the {report['originals']:,} images alone: {alone['pairs']} pairs, "
        f"{alone['wrong']} of them wrong, in {alone['wall']:.0f} s ({alone['cpu']:.0f} s of processor time).\n"
    )


def main(arguments: list[str] | None = None) -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", required=True, help="images, one folder per class")
    parser.add_argument("--copies", type=int, default=300, help="of each kind (default: %(default)s)")
    parser.add_argument("--hashes", nargs="*", default=["phash:8", "phash:16", "dhash:8"], help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of originals (default: %(default)s)")
    parser.add_argument("--images", metavar="FILE", help="where to draw the pairs that count as wrong")
    add_json(parser)
    settings = parser.parse_args(arguments)

    paths = list(load_image_folder(settings.data).data["path"])
    copies, origins = plant(paths, settings.copies, settings.seed)
    X = [Path(path).read_bytes() for path in paths] + copies

    def judged(pairs: set[Pair]) -> dict[str, Any]:
        return judge(pairs, paths, settings.data, origins)

    def found_by_skcnn(count: int) -> set[Pair]:
        with tempfile.TemporaryDirectory() as folder:  # files, as they would lie on disk
            files = list(paths)
            for place, content in enumerate(copies):
                files.append(os.path.join(folder, f"{place}.jpg"))
                Path(files[-1]).write_bytes(content)
            frame = find_duplicates(files[:count], ["train"] * len(paths) + ["test"] * (count - len(paths)))
        return set(zip(frame["row_a"].tolist(), frame["row_b"].tolist(), strict=True))

    seconds, alone = timed(lambda: found_by_skcnn(len(paths)))
    ways = {"`find_duplicates`": judged(found_by_skcnn(len(X)))}
    if importlib.util.find_spec("imagehash"):
        for hash_name in settings.hashes:
            name, size = hash_name.split(":")
            way = by_hash(name, int(size), X, judged)
            ways[f"`{name}`, {int(size) ** 2} bits, distance <= {way['distance']}"] = way
    report = {
        "settings": vars(settings),
        "originals": len(paths),
        "copies": len(copies) // len(KINDS),
        "originals alone": {**seconds, "pairs": len(alone), "wrong": len(judged(alone)["wrong"])},
        "ways": ways,
        "machine": machine(),
        "load": os.getloadavg()[0],
    }
    print(as_markdown(report))
    if settings.images:
        draw(ways["`find_duplicates`"]["wrong"][:200], X, settings.images)
    write_report(settings.json, report)


if __name__ == "__main__":
    main()
