"""``skcnn predict``: predict the classes of images, numbers, boxes around objects, masks, or who it is."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._text import listing, printable_text, valid_text
from skcnn.cli._arguments import at_most_one, is_backbone, model_path_or_backbone, output_path, whole_number
from skcnn.cli._common import TABLE_WRITERS, add_command, finds_boxes, table_path, verbose, with_progress, write_table
from skcnn.cli._data import add_images, add_skip_bad, images_text, is_file_of_image, list_images
from skcnn.cli._image_files import folder_path
from skcnn.cli._predict_boxes import COCO, is_coco, predict_boxes
from skcnn.cli._predict_identity import predict_names, predict_pairs, recognizes, verifies
from skcnn.cli._predict_masks import predict_masks, segments

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


_TABLES = listing(TABLE_WRITERS)


def add_to(commands: Any) -> None:
    predict = add_command(
        commands,
        "predict",
        run,
        "predict the classes of images, numbers, boxes or masks, as tab-separated lines, as a table or drawn",
        epilog="examples:\n"
        "  skcnn predict flowers.skcnn a.jpg b.jpg --top 5\n"
        "  skcnn predict flowers.skcnn new/ -o predictions.csv --skip-bad\n"
        "  skcnn predict flowers.skcnn new.csv --path-column file -o predictions.parquet\n"
        "  skcnn predict MobileNetV2 a.jpg --top 5\n"
        "  skcnn predict cells.skcnn new/ --draw drawn/ -o boxes.csv\n"
        "  skcnn predict cells.skcnn new/ -o coco.json\n"
        "  skcnn predict pets.skcnn new/ -o masks/ --draw drawn/\n"
        "  skcnn predict people.skcnn a.jpg b.jpg\n"
        "  skcnn predict verifier.skcnn pairs.csv -o same.csv\n\n"
        "The table has the columns path, label (the predicted class) and one per class, named like the class, with\n"
        "its probability (probability_path or probability_label if a class is called path or label). For a model of\n"
        "numbers, the columns are path and predicted; with several numbers per image, predicted_0, predicted_1...\n"
        "For a detector there is one row per box: path, label, score, xmin, ymin, xmax and ymax, in pixels of the\n"
        "upright image; an image without boxes has a row with its path alone.\n"
        "A segmenter writes one mask per image into the folder of -o, a .png whose palette has colours and whose\n"
        "indices are the labels; the table, and lines, have the fraction of pixels of each class.\n"
        "Of `skcnn fit --task identity`: path, label (who it is) and distance. A FaceVerifier takes one .csv with two\n"
        "columns of paths, a pair per row, and gives these, same (1 or 0) and distance.",
    )
    predict.add_argument(
        "model",
        type=model_path_or_backbone,
        help="a file that `skcnn fit`, or `skcnn.save` in Python, wrote; or, for the 1,000 classes of ImageNet, the "
        "name of a network of keras.applications, such as MobileNetV2 (`skcnn backbones` lists them)",
    )
    add_images(predict)
    predict.add_argument(
        "-o",
        "--output",
        type=_output_path,
        metavar="TABLE",
        help="write a table (.csv, .parquet or .jsonl), the boxes of a detector as COCO (.json), or the masks of a "
        "segmenter (a folder); lines are then printed only with --top",
    )
    predict.add_argument("--top", type=whole_number, metavar="K", help="print the K most probable classes (default: 1)")
    predict.add_argument(
        "--weights",
        metavar="FILE",
        help="for the name of a network: a .h5 or .weights.h5 file with its classifier (default: the published one, "
        "which is downloaded)",
    )
    add_skip_bad(predict)
    boxes = predict.add_argument_group("boxes of a detector, masks of a segmenter")
    boxes.add_argument(
        "--draw",
        type=folder_path,
        metavar="FOLDER",
        help="write images with their boxes drawn, as .jpg, or with their masks, as .png",
    )
    boxes.add_argument(
        "--min-score",
        type=at_most_one,
        metavar="SCORE",
        help="leave out boxes with smaller scores (default: 0.3 in lines and drawn images; with -o the model's own)",
    )


def _output_path(text: str) -> str:
    """Read the path of a table to write, of a file of COCO, or of a folder."""
    if is_coco(text):
        return output_path(text)
    path = Path(text).expanduser()
    if path.suffix.lower() in TABLE_WRITERS:
        return table_path(text)
    if path.suffix and not path.is_dir():
        expected = ", ".join([*TABLE_WRITERS, COCO])
        raise argparse.ArgumentTypeError(
            f"got {text}; expected a name that ends in {expected}, such as {path.with_suffix('.csv')}, or a folder for "
            "masks"
        )
    return folder_path(text)


def run(options: argparse.Namespace) -> None:
    if is_backbone(options.model):
        _find_weights(options)
    elif options.weights is not None:
        options.parser.error(f"--weights needs the name of a network; {options.model} is a file with its own weights")
    options.program = True
    if _predict_by_program(options):
        return
    if not is_backbone(options.model) and verifies(options.model):
        _refuse_boxes(options)
        predict_pairs(options)
        return
    dataset = list_images(options)

    from sklearn.base import is_regressor

    pipeline = _model(options)
    paths = dataset.frame["path"].tolist()
    if segments(pipeline):
        if is_coco(options.output):
            raise ValueError(f"-o {options.output} needs a detector; {options.model} predicts masks: give a folder.")
        predict_masks(pipeline, paths, options)
    elif finds_boxes(pipeline):
        _refuse_folder(options)
        predict_boxes(pipeline, paths, options)
    else:
        _refuse_boxes(options)
        if recognizes(pipeline):
            predict_names(pipeline, paths, options)
        elif is_regressor(pipeline):
            _predict_numbers(pipeline, paths, options)
        else:
            _predict_classes(pipeline, paths, options)
    if options.output:
        print(f"{options.output}: {images_text(dataset)}")


def _refuse_boxes(options: argparse.Namespace) -> None:
    if options.draw or options.min_score or is_coco(options.output):
        what = "--draw" if options.draw else "--min-score" if options.min_score else f"-o {options.output}"
        raise ValueError(f"{what} needs a detector; {options.model} finds no boxes.")
    _refuse_folder(options)


def _refuse_folder(options: argparse.Namespace) -> None:
    output = options.output
    if output is not None and not is_coco(output) and Path(output).suffix.lower() not in TABLE_WRITERS:
        raise ValueError(f"-o {output} is a folder, which is for masks; expected a name that ends in {_TABLES}.")


def _predict_by_program(options: argparse.Namespace) -> bool:
    """Predict with the program of a saved model, which takes a tenth of the time, if it has one; tell whether it did.

    A program needs OpenVINO. Folders, tables and what is written as a table need pandas, whose import alone takes as
    long as a program.
    """
    more = options.output or options.skip_bad or options.draw or options.min_score
    if more or not all(map(is_file_of_image, options.images)) or is_backbone(options.model):
        return False
    from skcnn.persistence import ModelFileError, load_program

    try:
        program = load_program(options.model)
    except (ImportError, ModelFileError) as error:
        warnings.warn(
            f"{str(error).rstrip('.')}. The model is loaded instead, which takes longer.", UserWarning, stacklevel=2
        )
        options.program = False
        return False
    if program is None:
        return False
    if program.classes_ is None:
        _print_numbers(options.images, program.predict(options.images).reshape(len(options.images), -1), options)
    else:
        probabilities = program.predict_proba(options.images)
        labels = program.classes_[probabilities.argmax(axis=1)]
        _print(options.images, labels, program.classes_, probabilities, options.top or 1)
    return True


def _predict_numbers(pipeline: Any, paths: list[str], options: argparse.Namespace) -> None:
    import pandas as pd

    _refuse_top(options)
    numbers = pipeline.predict(paths).reshape(len(paths), -1)
    if options.output:
        several = numbers.shape[1] > 1
        columns = [f"predicted_{number}" if several else "predicted" for number in range(numbers.shape[1])]
        table = pd.DataFrame(numbers, columns=columns)
        table.insert(0, "path", pd.Series(paths, dtype=object))
        write_table(table, options.output)
        return
    _print_numbers(paths, numbers, options)


def _refuse_top(options: argparse.Namespace) -> None:
    if options.top:
        raise ValueError(f"--top {options.top} needs a model of classes; {options.model} predicts numbers.")


def _print_numbers(paths: list[str], numbers: np.ndarray, options: argparse.Namespace) -> None:
    _refuse_top(options)
    for path, row in zip(paths, numbers, strict=True):
        print("\t".join([printable_text(path), *(f"{number:.6g}" for number in row)]))


def _predict_classes(pipeline: Any, paths: list[str], options: argparse.Namespace) -> None:
    from skcnn.images import one_pass

    with one_pass():
        probabilities = pipeline.predict_proba(paths)
        labels = pipeline.predict(paths)  # not always the most probable class: a threshold may choose another
    if options.output:
        write_table(_table(paths, labels, pipeline.classes_, probabilities), options.output)
    if options.top or not options.output:
        _print(paths, labels, pipeline.classes_, probabilities, options.top or 1)


def _find_weights(options: argparse.Namespace) -> None:
    """See that the weights of a network are there, or download them, before anything that takes long."""
    from skcnn.backbones import fetch_weights, get_backbone

    options.weights = options.weights or "pretrained"
    fetch_weights(get_backbone(options.model).with_classifier(), options.weights)


def _model(options: argparse.Namespace) -> Any:
    if is_backbone(options.model):
        from skcnn.neural_network import ImageNetClassifier

        return ImageNetClassifier(options.model, weights=options.weights, verbose=verbose(options))
    from skcnn.persistence import load

    return with_progress(load(options.model, program=options.program), options)


def _table(paths: list[str], labels: np.ndarray, classes: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    names = [valid_text(str(name)) for name in classes]
    columns = [f"probability_{name}" if name in ("path", "label") else name for name in names]
    head = pd.DataFrame({"path": pd.Series(paths, dtype=object), "label": labels})
    return pd.concat([head, pd.DataFrame(probabilities, columns=columns)], axis=1)


def _print(paths: list[str], labels: np.ndarray, classes: np.ndarray, probabilities: np.ndarray, top: int) -> None:
    """Print classes and probabilities, the predicted class first: by a threshold it need not be the most probable."""
    import numpy as np

    for path, label, row in zip(paths, labels, probabilities, strict=True):
        for index in np.lexsort((-row, classes != label))[:top]:
            print(f"{printable_text(path)}\t{printable_text(classes[index])}\t{row[index]:.4f}")
