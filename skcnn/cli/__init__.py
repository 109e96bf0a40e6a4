"""The command ``skcnn``: the main job from a shell. A file a command."""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from typing import TextIO

from skcnn import __version__
from skcnn._text import printable_text
from skcnn.cli import _backbones, _cache, _compare, _demo, _duplicates, _evaluate, _extract, _fit, _predict
from skcnn.cli._demo import demo_search

__all__ = ["demo_search", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code.

    0, 1 (an error, told in a line), 2 (usage), 3 (`skcnn duplicates` found some) or 130 (interrupted).
    """
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name may hold what the terminal's encoding has no letter for: better an odd letter than no answer.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if options.starts_keras:
            _start_keras_quietly()
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code: int | None = options.command(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("skcnn: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has had enough (`| head`). Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if options.debug:
            raise
        _tell("error", error)
        return 1
    return code or 0


def _tell(what: str, trouble: Warning | Exception | str) -> None:
    """Write to standard error what is amiss: lines for people, whatever names are in them."""
    lines = (str(trouble) or type(trouble).__name__).split("\n")
    print(f"skcnn: {what}: " + "\n".join(map(printable_text, lines)), file=sys.stderr)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    # As `warnings.showwarning` is called. Where in the source it was is nothing to who typed a command.
    _tell("warning", message)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="skcnn",
        description="Classify images with the features of pretrained networks and a linear classifier.",
        epilog=(
            "A folder of images has a folder for each class: flowers/rose/1.jpg. In place of a folder a table works\n"
            "too: a .csv file with the columns 'path' and 'label'.\n\n"
            "examples:\n"
            "  skcnn demo                                               a minute, offline: see what it does\n"
            "  skcnn fit flowers/ -o flowers.skcnn                      learn from a folder of images\n"
            "  skcnn evaluate flowers.skcnn test/ --html report.html    how good is it on other images?\n"
            "  skcnn compare old.skcnn new.skcnn test/                  which is better, and how sure is that?\n"
            "  skcnn predict flowers.skcnn a.jpg b.jpg --top 5          what is on these?\n"
            "  skcnn extract flowers/ -o features.parquet               only the features, as a table\n"
            "  skcnn extract flowers/ -o f.parquet --cache features/    each image through the network once, ever\n"
            "  skcnn duplicates train/ test/                            do they share images?\n"
            "  skcnn backbones                                          which networks there are\n"
            "  skcnn cache info features/                               what a cache directory holds\n\n"
            "`skcnn COMMAND --help` tells the options of a command."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"skcnn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    for command in (_demo, _fit, _evaluate, _compare, _predict, _extract, _duplicates, _backbones, _cache):
        command.add_to(commands)
    return parser


def _start_keras_quietly() -> None:
    """Start Keras's backend without its notices on which instructions and devices it found.

    TensorFlow writes them to the process's standard error before any logging level counts, so that is where they are
    caught; they are shown after all if it does not start.
    """
    from skcnn._keras import import_keras

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as notices:
        os.dup2(notices.fileno(), 2)
        try:
            import_keras().ops.zeros(1)
        except BaseException:
            notices.seek(0)
            os.write(terminal, notices.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
