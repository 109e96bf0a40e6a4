"""Arguments, each checked as it is read: a mistake is reported before anything heavy is imported.

A value that its option does not take ends with exit code 2, as usage errors do; a file that is not there, or cannot be
used, ends with 1.
"""

from __future__ import annotations

import argparse
import glob
import math
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn, TypeVar

from skcnn._files import check_regular
from skcnn._text import counted, did_you_mean, listing

N = TypeVar("N", int, float)


#: What names of shards end in.
SHARDS = (".tfrecord", ".tar", ".parquet")


class UnusableError(Exception):
    """What an argument names cannot be used."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are short, and name what may have been meant."""

    def error(self, message: str) -> NoReturn:
        """Report a usage error, and exit with 2."""
        if choice := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)$", message):
            choices = [name.strip().strip("'") for name in choice[2].split(",")]
            message += f".{did_you_mean(choice[1], choices)}"
        self.exit(2, f"{self.prog}: error: {message}\n`{self.prog} --help` shows what is expected.\n")

    def refuse(self, unknown: list[str]) -> NoReturn:
        """Report arguments that no option takes, and exit with 2."""
        known = sorted(set(re.findall(r"(?<!\S)--[a-z][a-z-]*", self.format_help())))
        first = unknown[0].partition("=")[0]
        hint = did_you_mean(first, known) if first.startswith("--") else ""
        self.error(f"unrecognized arguments: {' '.join(unknown)}.{hint}")


def whole_number(text: str) -> int:
    """Read an integer >= 1."""
    return _number(text, int, lambda number: number >= 1, "an integer >= 1")


def count(text: str) -> int:
    """Read an integer >= 0."""
    return _number(text, int, lambda number: number >= 0, "an integer >= 0")


def port(text: str) -> int:
    """Read the number of a TCP port, or 0."""
    return _number(text, int, lambda number: 0 <= number <= 65535, "an integer in 0..65535")


def positive(text: str) -> float:
    """Read a number > 0."""
    return _number(text, float, lambda number: 0 < number < math.inf, "a number > 0")


def not_negative(text: str) -> float:
    """Read a number >= 0."""
    return _number(text, float, lambda number: 0 <= number < math.inf, "a number >= 0")


def fraction(text: str) -> float:
    """Read a number in (0, 1)."""
    return _number(text, float, lambda number: 0 < number < 1, "a fraction in (0, 1)")


def at_most_one(text: str) -> float:
    """Read a number in (0, 1]."""
    return _number(text, float, lambda number: 0 < number <= 1, "a number in (0, 1]")


def alpha(text: str) -> float | str:
    """Read "auto" or a number > 0."""
    if text == "auto":
        return text
    return _number(text, float, lambda number: 0 < number < math.inf, "auto or a number > 0")


def layers_to_unfreeze(text: str) -> str | int | float:
    """Read which layers are open: an index, a fraction, or a name ("all" and "none" among them)."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def label_color(text: str) -> tuple[int | None, int | tuple[int, ...]]:
    """Read what pixels of a class are: a number, or red, green and blue; with its label before it, if it is given."""
    label, _, color = text.rpartition("=")
    try:
        numbers = tuple(map(int, color.split(",")))
        number = int(label) if label else None
    except ValueError:
        numbers, number = (), None
    if len(numbers) not in (1, 3) or not all(0 <= value <= 255 for value in (*numbers, number or 0)):
        raise argparse.ArgumentTypeError(
            f"got {text}; expected a number or RED,GREEN,BLUE, each from 0 to 255, such as 255 or 128,0,0; or with its "
            "label before it, such as 255=128,0,0"
        )
    return number, numbers if len(numbers) == 3 else numbers[0]


def folder_of_images(text: str) -> str:
    """Read the path of a folder that is there."""
    path = os.path.expanduser(text)
    _check_there(path, "a folder of images")
    if not os.path.isdir(path):
        raise UnusableError(f"{text} is a file; expected a folder of images")
    return path


def data_path(text: str) -> str:
    """Read the path of a folder or of a CSV table."""
    path = os.path.expanduser(text)
    _check_there(path, "a folder of images, or a .csv table")
    check_regular(path, "a folder of images, or a .csv table")
    if not os.path.isdir(path) and not path.lower().endswith(".csv"):
        raise UnusableError(f"{text} is a file; expected a folder of images, or a table whose name ends in .csv")
    return path


def data_or_shards_path(text: str) -> str:
    """Read the path of a folder or of a CSV table, or a path or pattern of shards, whose name says their format."""
    if Path(text).suffix.lower() not in SHARDS:
        return data_path(text)
    if "://" not in text:
        _check_matches(text)
    return text


def _check_matches(pattern: str) -> None:
    """Raise where a path or pattern of shards matches no file; the message says what is in its folder instead."""
    path = os.path.expanduser(pattern)
    if glob.glob(path, recursive=True) or os.path.lexists(path):
        return
    folder = Path(os.path.dirname(re.split(r"[*?[]", path)[0]))
    shown = os.path.abspath(folder)
    if not folder.is_dir():
        found = f"there is no folder {shown}"
    else:
        ending = Path(pattern).suffix.lower()
        shards = sorted(name for name in os.listdir(folder) if name.lower().endswith(ending))
        found = f"in {shown}, {counted(len(shards), 'file')} {'ends' if len(shards) == 1 else 'end'} in {ending}"
        found += f": {listing(shards, 3)}" if shards else ""
    raise UnusableError(
        f"no file matches {pattern}; expected the path of a shard, or a pattern such as "
        f"'train-*{Path(pattern).suffix}' ({found})"
    )


def data_or_boxes_path(text: str) -> str:
    """Read the path of a folder, of a CSV table, or of a JSON file with boxes or masks."""
    path = os.path.expanduser(text)
    if not path.lower().endswith(".json"):
        return data_path(text)
    _check_there(path, "a .json of COCO")
    check_regular(path, "a .json of COCO")
    return path


def data_or_features_path(text: str) -> str:
    """Read the path of a folder, of a CSV table, or of a JSON file with boxes or masks; or the URL of features."""
    return text if "://" in text else data_or_boxes_path(text)


def images_path(text: str) -> str:
    """Read the path of an image, a folder or a CSV table, or a URL."""
    if "://" in text:
        return text
    path = os.path.expanduser(text)
    _check_there(path, "an image, a folder, a .csv or a URL")
    return path


def image_path(text: str) -> str:
    """Read the path or the URL of an image."""
    if "://" in text:
        return text
    path = os.path.expanduser(text)
    _check_there(path, "an image")
    if os.path.isdir(path):
        raise UnusableError(f"{text} is a folder; expected an image")
    check_regular(path, "an image")
    return path


def model_path(text: str) -> str:
    """Read the path of a saved model."""
    from skcnn.persistence import ModelFileError, read_manifest

    path = os.path.expanduser(text)
    _check_there(path, "a file that `skcnn fit` wrote")
    try:
        read_manifest(path)
    except ModelFileError as error:
        raise UnusableError(str(error)) from error
    return path


def is_backbone(text: str) -> bool:
    """Tell whether a model is meant by the name of a network; a file of this name wins."""
    from skcnn.backbones import backbone_names

    return text in backbone_names() and not os.path.isfile(text)


def model_path_or_backbone(text: str) -> str:
    """Read the path of a saved model, or the name of a network with the classes of ImageNet."""
    from skcnn.backbones import backbone_names, get_backbone

    if not is_backbone(text):
        path = os.path.expanduser(text)
        _check_there(path, "a file that `skcnn fit` wrote, or the name of a network", backbone_names())
        return model_path(text)
    try:
        get_backbone(text).with_classifier()
    except ValueError as error:
        raise UnusableError(
            f"{text} has no classifier of the classes of ImageNet; expected a file that `skcnn fit` wrote, or a "
            "network of keras.applications, such as MobileNetV2."
        ) from error
    return text


def output_folder(text: str) -> str:
    """Read the path of a folder to write to, which need not be there, or a URL."""
    if "://" in text:
        return text
    path = Path(text).expanduser()
    if path.exists() and not path.is_dir():
        raise PermissionError(f"{text} is a file; expected a folder to write to")
    return str(path)


def output_path(text: str) -> str:
    """Read the path of a file to write."""
    path = Path(text).expanduser()
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{text}: the folder {folder} does not exist; create it first")
    check_regular(path, "the path of a file")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise PermissionError(f"{text} cannot be written")
    return str(path)


def backbone_name(text: str) -> str:
    """Read the name of a network, or the path of a saved one."""
    from skcnn.backbones import backbone_names

    known = backbone_names()
    if text in known or os.path.exists(text):
        return text
    if text.lower().endswith(".keras"):
        raise argparse.ArgumentTypeError(f"{text}: no such file; expected the path of a Keras model, or a name.")
    raise argparse.ArgumentTypeError(
        f"there is no backbone {text!r}.{did_you_mean(text, known)} `skcnn backbones` lists all of them."
    )


def _check_there(path: str, expected: str, names: Iterable[str] = ()) -> None:
    if os.path.exists(path):
        return
    folder, name = os.path.split(path.rstrip("/"))
    try:
        near = os.listdir(folder or ".")
    except OSError:
        near = []
    raise FileNotFoundError(
        f"{path}: no such file or folder; expected {expected}.{did_you_mean(name, [*near, *names])}"
    )


def _number(text: str, kind: Callable[[str], N], fits: Callable[[N], bool], expected: str) -> N:
    try:
        number = kind(text)
    except ValueError:
        pass
    else:
        if fits(number):
            return number
    raise argparse.ArgumentTypeError(f"got {text}; expected {expected}")
