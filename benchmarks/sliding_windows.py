"""A classifier of windows over a whole image in one pass, beside the same classifier window by window.

    python benchmarks/sliding_windows.py image.jpg --weights mobilenet_v2.weights.h5

Networks are MobileNetV2 with its trained weights up to a layer, and a head with random weights, which computes as much
as a trained one, for 20 classes. MobileNetV2 pads its maps: a window that is alone has black around it, and in an image
its neighbours. Here it does not: no layer adds anything at the edges, and what goes around a block is cut as the block
cuts. Only then can one pass give what the windows give. The last line is the published network with the published
classifier of 1,000 classes, which pads: it shows what the difference is.

Time is that of one image at one scale, from pixels in memory to the probabilities of all windows: Keras's
``predict_on_batch``, which is compiled, with 32 windows at a time or one whole image. Each ratio is the median of those
within a round, with its range. "error" is the largest difference of a probability.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from _rounds import describe, interleaved, machine, median, ratio, show_ratio, table
from PIL import Image

from skcnn._keras import import_keras
from skcnn.backbones import get_backbone, scale_pixels
from skcnn.detection import to_fully_convolutional

SIDE = 448
N_CLASSES = 20  # of the random heads
AT_ONCE = 32
#: What probabilities may differ by for a speed to be shown.
TOLERANCE = 1e-4

#: Name, last layer (None is the whole network as published), pixels of a window, pixels from one to the next, and
#: units of a dense layer on the map (None is an average over the map).
CASES: tuple[tuple[str, str | None, int, int, int | None], ...] = (
    ("block 6, average", "block_6_project_BN", 96, 16, None),
    ("block 7, dense layer of 100 on 7 x 7", "block_7_add", 208, 16, 100),
    ("block 10, average", "block_10_project_BN", 224, 16, None),
    ("the end, padded as published", None, 224, 32, None),
)


def without_padding(network: Any, side: int) -> Any:
    """Return a network with the same weights for windows of ``side`` pixels, of which no layer pads."""
    keras = import_keras()

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        kind = type(layer).__name__
        if kind == "ZeroPadding2D":
            return args[0]
        if kind == "Add":
            smallest = min(tensor.shape[1] for tensor in args[0])
            cut = [(tensor.shape[1] - smallest) // 2 for tensor in args[0]]
            return layer([keras.layers.Cropping2D(n)(x) if n else x for n, x in zip(cut, args[0], strict=True)])
        return layer(*args, **kwargs)

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        if config.get("padding") == "same":
            config["padding"] = "valid"
        return type(layer).from_config(config)

    pixels = keras.Input((side, side, 3))
    clone = keras.models.clone_model(network, input_tensors=[pixels], clone_function=copy, call_function=call)
    clone.set_weights(network.get_weights())
    return clone


def classifier(last: str | None, side: int, units: int | None, weights: str, crops: np.ndarray) -> Any:
    """Return a classifier of windows, from raw pixels to probabilities that differ from window to window."""
    keras = import_keras()
    backbone = get_backbone("MobileNetV2")
    if last is None:
        pixels = keras.Input((side, side, 3))
        whole = backbone.with_classifier().build(weights=weights)
        return keras.Model(pixels, whole(scale_pixels(pixels, backbone.preprocessing)))
    whole = backbone.build(weights=weights)
    network = without_padding(keras.Model(whole.inputs, whole.get_layer(last).output), side)
    layers = keras.layers
    pixels = keras.Input((side, side, 3))
    maps = network(scale_pixels(pixels, backbone.preprocessing))
    if units is None:
        vector = layers.GlobalAveragePooling2D()(maps)
    else:
        vector = layers.Dense(units, "relu", kernel_initializer=keras.initializers.HeNormal(seed=1))(
            layers.Flatten()(maps)
        )
    logits = layers.Dense(N_CLASSES, kernel_initializer=keras.initializers.GlorotNormal(seed=2))
    before = keras.Model(pixels, logits(vector))
    # Logits of a spread of 3 across windows: probabilities from near 0 to near 1.
    found = before.predict_on_batch(crops)
    kernel, bias = logits.get_weights()
    scale = 3 / found.std(axis=0)
    logits.set_weights([kernel * scale, bias - found.mean(axis=0) * scale])
    return keras.Model(pixels, layers.Softmax()(before.outputs[0]))


def windows_of(image: np.ndarray, side: int, step: int) -> np.ndarray:
    """Return the pixels of all windows (n, side, side, 3)."""
    views = np.lib.stride_tricks.sliding_window_view(image, (side, side), axis=(0, 1))[::step, ::step]
    return np.moveaxis(views, 2, -1).reshape(-1, side, side, 3)


def measure(
    image: np.ndarray, name: str, last: str | None, side: int, step: int, units: int | None, options: Any
) -> list[object]:
    """Return a line of the table."""
    windows = windows_of(image, side, step)
    model = classifier(last, side, units, options.weights, windows[:: len(windows) // 32])
    network = to_fully_convolutional(model)

    def one_by_one() -> np.ndarray:
        parts = [model.predict_on_batch(windows[start : start + AT_ONCE]) for start in range(0, len(windows), AT_ONCE)]
        return np.concatenate(parts)

    def one_pass() -> np.ndarray:
        return network.predict_on_batch(image[None]).reshape(-1, model.output_shape[-1])

    expected, found = one_by_one(), one_pass()  # compiled now
    if expected.shape != found.shape:
        raise RuntimeError(f"{name}: {found.shape} outputs of one pass, {expected.shape} of windows.")
    error = np.abs(found - expected).max()
    same = (found.argmax(axis=1) == expected.argmax(axis=1)).mean()
    shown: list[object] = [name, side, step, len(windows), f"{error:.0e}", f"{100 * same:.0f} %"]
    rounds = interleaved({"windows": one_by_one, "one pass": one_pass}, options.rounds)
    seconds = [f"{1e3 * median(rounds, run, 'wall'):.0f}" for run in ("windows", "one pass")]
    ratios = [show_ratio(ratio(rounds, "windows", "one pass", clock)) for clock in ("wall", "cpu")]
    if last is not None and error > TOLERANCE:
        raise RuntimeError(f"{name}: outputs differ by {error:.1e}; expected at most {TOLERANCE:.0e}.")
    return [*shown, *seconds, *ratios]


def main(arguments: list[str] | None = None) -> None:
    """Measure all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("--weights", default="pretrained", help="of MobileNetV2 (default: the published ones)")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    image = Image.open(options.image).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    pixels = np.asarray(image).astype(np.float32)
    rows = [measure(pixels, *case, options) for case in CASES]
    print(f"{describe(machine())}. An image of {SIDE} x {SIDE}, {options.rounds} interleaved rounds.\n")
    header = ["MobileNetV2 to", "window", "stride", "windows", "error", "same class", "windows, ms", "one pass, ms"]
    print(table([*header, "x faster, wall", "processor"], rows))


if __name__ == "__main__":
    main()
