"""The command ``skcnn``: train, evaluate and predict from a shell. One file per command."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TextIO

from skcnn import __version__
from skcnn._text import printable_text
from skcnn.cli import (
    _backbones,
    _cache,
    _check,
    _compare,
    _demo,
    _duplicates,
    _evaluate,
    _explain,
    _export,
    _extract,
    _fit,
    _generate,
    _map,
    _predict,
    _serve,
    _similar,
    _split,
    _stylize,
    _track,
)
from skcnn.cli._arguments import Parser
from skcnn.cli._demo import demo_search

__all__ = ["demo_search", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code.

    0, 1 (an error, reported in one line), 2 (usage), 3 (``duplicates`` or ``check`` found some) or 130 (interrupted).
    """
    with _streams():
        return _main(arguments)


@contextlib.contextmanager
def _streams() -> Iterator[None]:
    """Give what writes to standard streams somewhere to write to, where they are closed (`skcnn ... >&-`).

    A file opened later would get the number of the stream, and with it what libraries write there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    with contextlib.ExitStack() as stack:
        for name, redirect in (("stdout", contextlib.redirect_stdout), ("stderr", contextlib.redirect_stderr)):
            if (stream := getattr(sys, name)) is None or stream.closed:
                stack.enter_context(redirect(stack.enter_context(open(os.devnull, "w"))))
        yield


def _main(arguments: Sequence[str] | None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name may contain characters that the terminal's encoding lacks: better escaped than an error.
        sys.stdout.reconfigure(errors="backslashreplace")
    options = argparse.Namespace()
    try:
        options, unknown = _parser().parse_known_args(arguments)
        if unknown:
            options.parser.refuse(unknown)
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code: int | None = options.command(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("skcnn: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of the output has closed it (`| head`). Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if "--debug" in (sys.argv if arguments is None else arguments):
            raise
        # Some errors know how to say it in the words of a command's options.
        _report("error", error.for_command(vars(options)) if hasattr(error, "for_command") else error)
        return 1
    return code or 0


def _report(what: str, trouble: Warning | Exception | str) -> None:
    """Write a warning or an error to standard error, with control characters escaped."""
    text = str(trouble) or type(trouble).__name__
    lines = text.replace(" (all in the attribute bad_rows)", "").split("\n")  # which only Python has
    print(f"skcnn: {what}: " + "\n".join(map(printable_text, lines)), file=sys.stderr)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    # The signature of `warnings.showwarning`. The place in the source is of no use to who typed a command.
    _report("warning", message)


def _parser() -> Parser:
    parser = Parser(
        prog="skcnn",
        description="Classify images, and find objects, regions and people in them, with pretrained networks.",
        epilog=(
            "A folder of images has one folder per class: flowers/rose/1.jpg. Instead of a folder, a table works too:\n"
            "a .csv file with the columns 'path' and 'label'. Boxes around objects are Pascal VOC, COCO or a .csv.\n"
            "Masks are a folder beside that of the images.\n\n"
            "examples:\n"
            "  skcnn demo                                               a demonstration, offline, within a minute\n"
            "  skcnn fit flowers/ -o flowers.skcnn                      train on a folder of images\n"
            "  skcnn evaluate flowers.skcnn test/ --html report.html    evaluate it on other images\n"
            "  skcnn compare old.skcnn new.skcnn test/                  which one is better? with intervals\n"
            "  skcnn predict flowers.skcnn a.jpg b.jpg --top 5          the most probable classes\n"
            "  skcnn fit VOC2007/ -o objects.skcnn                      train a detector on images with boxes\n"
            "  skcnn predict objects.skcnn new/ --draw drawn/           what it finds, drawn\n"
            "  skcnn fit pets/ -o pets.skcnn                            train a segmenter on images/ and masks/\n"
            "  skcnn predict pets.skcnn new/ -o masks/                  a mask per image\n"
            "  skcnn explain flowers.skcnn a.jpg -o heat.png            which regions support the class\n"
            "  skcnn export flowers.skcnn flowers.onnx                  one file for a runtime, without skcnn\n"
            "  skcnn serve flowers.skcnn                                over HTTP, with a page to drop images on\n"
            "  skcnn map flowers/ -o map.html                           similar images close together, on a page\n"
            "  skcnn similar flowers/ query.jpg -k 9                    the most similar images\n"
            "  skcnn generate digits.skcnn -n 100 -o new/               images of a saved ImageGAN\n"
            "  skcnn extract flowers/ -o features.parquet               only the features, as a table\n"
            "  skcnn extract flowers/ -o f.parquet --cache features/    each image through the network once, ever\n"
            "  skcnn extract flowers/ -o features/ --rows-per-part 10000   in parts, for more than memory holds\n"
            "  skcnn split flowers/ --train train.csv --test test.csv   near duplicates stay together\n"
            "  skcnn duplicates train/ test/                            do they share images?\n"
            "  skcnn track det.txt -o tracks.txt                        follow detected objects through a video\n"
            "  skcnn stylize content.jpg style.jpg -o out.png           an image in the style of another one\n"
            "  skcnn backbones                                          list the networks\n"
            "  skcnn cache info features/                               describe a cache directory\n\n"
            "`skcnn COMMAND --help` lists the options of a command."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"skcnn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    for command in (
        _demo,
        _fit,
        _evaluate,
        _compare,
        _predict,
        _explain,
        _export,
        _generate,
        _serve,
        _map,
        _similar,
        _extract,
        _check,
        _duplicates,
        _split,
        _track,
        _stylize,
        _backbones,
        _cache,
    ):
        command.add_to(commands)
    return parser
