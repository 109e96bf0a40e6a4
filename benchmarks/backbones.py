"""Measure how fast the backbones are beside MobileNetV2, and write ``docs/backbones_speed.csv``.

Every network has random weights (the speed does not depend on them) and runs at its own size, from pixels in memory, on
the engine "keras" of the default backend. Rounds alternate between the network and MobileNetV2, and the ratio of each
round is kept, so that other work on the machine slows both; the table has the median ratio.

    python benchmarks/backbones.py --output docs/backbones_speed.csv
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from skcnn.backbones import list_backbones
from skcnn.cache import memory_cache
from skcnn.engines import clear_engines
from skcnn.feature_extraction import BottleneckFeatures

REFERENCE = "MobileNetV2"
N_ROUNDS = 3


def runner(name, size, n_images):
    """Return a function that runs ``n_images`` images of the network's size, and returns seconds per image."""
    pixels = np.random.default_rng(0).integers(0, 256, (n_images, *size, 3), dtype=np.uint8)
    features = BottleneckFeatures(name, weights=None, engine="keras", cache=None, batch_size=n_images, verbose=0)
    features.transform(pixels)  # builds and compiles

    def run():
        start = time.perf_counter()
        features.transform(pixels)
        return (time.perf_counter() - start) / n_images

    return run


def main():
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--output", type=Path, help="CSV file; what it has already is not measured again")
    parser.add_argument("--images", type=int, default=16, help="images per round (default: %(default)s)")
    options = parser.parse_args()

    table = list_backbones().set_index("name")
    known = pd.read_csv(options.output) if options.output and options.output.exists() else pd.DataFrame()
    rows = known.to_dict("records")
    done = {row["name"] for row in rows}
    reference_size = table.loc[REFERENCE, "image_size"]
    for name in table.sort_values("n_parameters").index:
        if name in done:
            continue
        clear_engines()
        memory_cache().clear()
        reference = runner(REFERENCE, reference_size, options.images)
        network = runner(name, table.loc[name, "image_size"], options.images)
        rounds = [(reference(), network()) for _ in range(N_ROUNDS)]
        ratio = np.median([base / seconds for base, seconds in rounds])
        rate = 1 / np.median([base for base, _ in rounds])
        rows.append({"name": name, "relative_speed": float(f"{ratio:.2g}"), "reference_images_per_s": round(rate)})
        print(rows[-1], flush=True)
        if options.output:
            pd.DataFrame(rows).to_csv(options.output, index=False)


if __name__ == "__main__":
    main()
