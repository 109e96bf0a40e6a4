"""A folder of images: with one sub-folder per class, or without labels."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.utils import Bunch

from skcnn._labels import as_labels
from skcnn._text import counted, valid_text
from skcnn.datasets._natural import natural_key
from skcnn.images import readable_formats

#: Folders in which systems and programs keep copies and settings of their own. They count as hidden.
_SYSTEM_FOLDERS = frozenset(
    {
        "@eadir", "@tmp", "#recycle", "#snapshot", "__macosx", "$recycle.bin", "system volume information",
        "lost+found",
    }
)  # fmt: skip

#: Images that not every installation reads -> what does.
_READERS = dict.fromkeys((".heic", ".heif", ".hif"), "HEIC needs `pip install 'skcnn[heif]'`") | {
    ".avif": "AVIF needs `pip install 'pillow>=11.3'`"
}

_SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})


def image_extensions() -> frozenset[str]:
    """Return the extensions (lower case, with dot) of the files that the installed Pillow reads as images."""
    formats = readable_formats()
    return frozenset(extension.lower() for extension, name in Image.registered_extensions().items() if name in formats)


class _Entry(NamedTuple):
    path: str
    kind: Literal["image", "not_image", "hidden", "link"]


def load_image_folder(
    root: str | os.PathLike[str],
    *,
    labels: Literal["inferred"] | None = "inferred",
    categories: Sequence[str] | None = None,
    follow_links: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load the paths and labels of images in one folder per class, or of images without labels.

    .. code-block:: text

        flowers/
            daisy/
                1.jpg
                2.webp
            roses/
                holiday/3.PNG

    The name of a folder in ``root`` is the label of every image below it, however deep. With ``labels=None`` folders
    mean nothing: every image below ``root`` is loaded, for images that are yet to be classified. The images themselves
    stay in their files until an estimator reads them, so that the size of the collection does not matter.

    Parameters
    ----------
    root : str or path-like
        Folder that contains one folder per class; with ``labels=None``, any folder with images at any depth. ``~`` is
        the home folder.

    labels : {"inferred"} or None, default="inferred"
        Where labels come from, with the values of ``keras.utils.image_dataset_from_directory``. ``"inferred"``: the
        names of the folders in ``root``. None: there are none, and images directly in ``root`` count as well.

    categories : sequence of str or None, default=None
        Names of the class folders to load. None loads every folder in ``root``, since each is a class. Only with
        ``labels="inferred"``.

    follow_links : bool, default=False
        Whether to follow symbolic links that lead out of ``root``. They are passed over by default, since such a link
        can bring in any file of the machine. Links within ``root`` are always followed.

    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    dataset : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : DataFrame of shape (n_samples, 1)
            One column ``path`` (str): ``root`` as it was given, followed by the way to the file. Ordered by class, then
            by path, both in natural order ('2' before '10'): the same tree always gives the same rows. Without labels,
            ordered by path.
        target : ndarray of shape (n_samples,), dtype str, or None
            The label of each image: the name of its class folder. Classifiers take strings as they are. Bytes of a
            name that are not UTF-8 are written as escapes; paths keep the true names. None if ``labels`` is None.
        target_names : list of str or None
            The labels in natural order. ``classes_`` of a fitted classifier is ordered as text ('10' before '2'); where
            the order matters to a reader, pass this list. None if ``labels`` is None.
        frame : DataFrame of shape (n_samples, 2)
            The columns ``path`` and ``label``; the former alone if ``labels`` is None.
        passed_over : dict of str to int
            How many entries were not loaded: ``"not_image"`` (files with an extension that Pillow does not read),
            ``"hidden"`` (names that begin with a dot, and folders of systems such as ``@eaDir`` and ``__MACOSX``; a
            hidden folder counts once), ``"link"`` (symbolic links that
            lead out of ``root``, nowhere, or back to a folder that they lie in), ``"no_class"`` (images directly in
            ``root``; none of them with ``labels=None``).

    (data, target) : tuple if ``return_X_y=True``
        The DataFrame and the array described above.

    Raises
    ------
    FileNotFoundError
        If ``root`` does not exist.
    NotADirectoryError
        If ``root`` is a file.
    ValueError
        If ``root`` has no class folder, one of them holds no image, or ``categories`` names one that is not there. With
        ``labels=None``, if there is no image below ``root``, or ``categories`` is given. If ``labels`` is neither
        ``"inferred"`` nor None.

    Warns
    -----
    UserWarning
        If anything was passed over that might have been meant as an image: a file in a class folder (with
        ``labels=None``, any file) that Pillow does not read, a symbolic link, an image directly in ``root``. Also if
        all class folders are named like the parts of a split (``train``, ``test``).

    See Also
    --------
    load_image_table : Paths and labels from a table.
    sklearn.datasets.load_files : The same layout for texts.

    Notes
    -----
    A file is an image if its extension, in small or capital letters, is that of one of the formats in
    :data:`skcnn.images.FORMATS`. The HEIC images of telephones are among them where ``pillow-heif`` is installed (extra
    ``heif``). Whether a file can be decoded is seen when it is read; :func:`skcnn.images.check_images` checks it
    beforehand.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skcnn.datasets import load_image_folder
    >>> root = Path(tempfile.mkdtemp())
    >>> for name in ["daisy/1.jpg", "daisy/2.webp", "roses/3.PNG"]:
    ...     (root / name).parent.mkdir(exist_ok=True)
    ...     Image.new("RGB", (8, 8)).save(root / name)
    >>> dataset = load_image_folder(root)
    >>> dataset.data.shape, dataset.target, dataset.target_names
    ((3, 1), array(['daisy', 'daisy', 'roses'], dtype='<U5'), ['daisy', 'roses'])

    Without labels:

    >>> dataset = load_image_folder(root, labels=None)
    >>> dataset.data.shape, dataset.target
    ((3, 1), None)
    """
    root = os.path.expanduser(os.fspath(root))
    if labels is not None and not (isinstance(labels, str) and labels == "inferred"):
        raise ValueError(
            f"labels={labels!r}; expected 'inferred' (the names of the folders in root) or None. If the labels are in "
            "a table, use load_image_table."
        )
    if labels is None and categories is not None:
        raise ValueError(f"categories={categories!r} with labels=None, which loads every image; expected one of them.")
    tree = _Tree(root, follow_links)
    if labels is None:
        dataset = _without_labels(tree)
        tree.warn()
        return (dataset.data, dataset.target) if return_X_y else dataset
    names = tree.class_names if categories is None else _chosen(categories, tree.class_names, root)

    paths, target, empty = [], [], []
    for name in names:
        images = tree.images(name)
        paths += images
        target += [name] * len(images)
        if not images:
            empty.append(name)
    if not paths or empty:
        raise ValueError(_nothing_to_load(root, names, empty, tree))
    tree.warn()
    if _SPLIT_NAMES.issuperset(name.lower() for name in names):
        warnings.warn(
            f"The folders in {root!r} became the labels {names}, but are named like the parts of a split. If the "
            "class folders lie one level down, load each part by itself: "
            f"load_image_folder({os.path.join(root, names[0])!r}).",
            stacklevel=2,
        )

    y = as_labels(np.array(target, dtype=object)).astype(str)
    frame = pd.DataFrame({"path": text_column(paths), "label": pd.Series(y, dtype=str)})
    dataset = Bunch(
        data=frame[["path"]],
        target=y,
        target_names=list(dict.fromkeys(as_labels(np.array(names, dtype=object)))),
        frame=frame,
        passed_over=tree.passed_over(),
    )
    return (dataset.data, dataset.target) if return_X_y else dataset


def _without_labels(tree: _Tree) -> Bunch:
    """Return every image below the root of a tree, as :func:`load_image_folder` returns them."""
    paths = tree.all_images()
    if not paths:
        raise ValueError(
            f"There are no images in {tree.root!r}, at any depth; {_what_is_read()}.{_hint(tree.unread())}"
            f"{_links_hint(tree)}"
        )
    frame = pd.DataFrame({"path": text_column(paths)})
    return Bunch(data=frame.copy(), target=None, target_names=None, frame=frame, passed_over=tree.passed_over())


class _Tree:
    """The entries below ``root``: class folders, the images in them, and what is passed over."""

    def __init__(self, root: str, follow_links: bool):
        if not os.path.exists(root):
            raise FileNotFoundError(f"The folder {root!r} does not exist (searched from {os.getcwd()!r}).")
        if not os.path.isdir(root):
            raise NotADirectoryError(
                f"{root!r} is a file; expected a folder that contains one folder per class. If it is an archive, "
                "unpack it first, and give a table of paths to load_image_table."
            )
        self.root = root
        self._real_root, self._follow_links = os.path.realpath(root), follow_links
        self._extensions = image_extensions()
        self.class_names: list[str] = []
        self._beside: list[_Entry] = []  # what lies in root beside the class folders
        self._passed_over: list[_Entry] = []  # files in class folders that are not images
        for entry in _listing(root):
            kind = self._kind(entry, (self._real_root,))
            if kind == "folder":
                self.class_names.append(entry.name)
            else:
                self._beside.append(_Entry(entry.path, kind))

    def images(self, class_name: str) -> list[str]:
        """Return the paths of the images of a class, and remember what is passed over."""
        folder = os.path.join(self.root, class_name)
        entries = list(self._walk(folder, (self._real_root, os.path.realpath(folder))))
        return self._images_of(entries)

    def all_images(self) -> list[str]:
        """Return the paths of all images, those directly in root included, and remember what is passed over."""
        self._beside = []
        return self._images_of(list(self._walk(self.root, (self._real_root,))))

    def _images_of(self, entries: list[_Entry]) -> list[str]:
        self._passed_over += [entry for entry in entries if entry.kind != "image"]
        return [entry.path for entry in entries if entry.kind == "image"]

    def unread(self) -> list[str]:
        """Return the paths of images that are passed over because what reads them is not installed."""
        return [entry.path for entry in self._beside + self._passed_over if _is_unread(entry)]

    def no_class(self) -> list[str]:
        """Return the paths of the images directly in root."""
        return [entry.path for entry in self._beside if entry.kind == "image"]

    def links(self) -> list[str]:
        """Return the paths of the links that are passed over."""
        return [entry.path for entry in self._beside + self._passed_over if entry.kind == "link"]

    def passed_over(self) -> dict[str, int]:
        """Return how many entries are passed over, by reason."""
        kinds = Counter(entry.kind for entry in self._beside + self._passed_over)
        return {**{kind: kinds[kind] for kind in ("not_image", "hidden", "link")}, "no_class": kinds["image"]}

    def warn(self) -> None:
        """Tell what was passed over and might have been meant as an image (a README beside the classes is not)."""
        others = [entry.path for entry in self._beside if _is_unread(entry)]
        others += [entry.path for entry in self._passed_over if entry.kind == "not_image"]
        told = []
        if others:
            endings = Counter(_ending(path) or "no extension" for path in others)
            what = ", ".join(f"{ending}: {count}" for ending, count in endings.most_common(5))
            hint = "".join(f"; {reader}" for reader in _readers(others))
            told.append(
                f"{counted(len(others), 'file')} that Pillow does not read as images ({what}{hint}), "
                f"{self._some(others)}"
            )
        if self.links():
            told.append(
                f"{counted(len(self.links()), 'symbolic link')} (out of the folder, to nothing, or in a circle), "
                f"{self._some(self.links())}; follow_links=True takes those that lead out"
            )
        if self.no_class():
            told.append(
                f"{counted(len(self.no_class()), 'image')} outside any class folder, {self._some(self.no_class())}"
            )
        if told:
            warnings.warn(f"load_image_folder({self.root!r}) passed over " + "; and ".join(told) + ".", stacklevel=3)

    def _some(self, paths: list[str], shown: int = 3) -> str:
        return f"such as {', '.join(repr(os.path.relpath(path, self.root)) for path in paths[:shown])}"

    def _walk(self, folder: str, above: tuple[str, ...]) -> Iterator[_Entry]:
        for entry in _listing(folder):
            kind = self._kind(entry, above)
            if kind == "folder":
                yield from self._walk(entry.path, (*above, os.path.realpath(entry.path)))
            else:
                yield _Entry(entry.path, kind)

    def _kind(
        self, entry: os.DirEntry[str], above: tuple[str, ...]
    ) -> Literal["folder", "image", "not_image", "hidden", "link"]:
        if entry.name.startswith(".") or (entry.name.lower() in _SYSTEM_FOLDERS and entry.is_dir()):
            return "hidden"
        if entry.is_symlink():
            end = os.path.realpath(entry.path)
            inside = Path(end).is_relative_to(self._real_root)
            if not os.path.exists(end) or end in above or not (inside or self._follow_links):
                return "link"
        if entry.is_dir():
            return "folder"
        return "image" if _ending(entry.name) in self._extensions else "not_image"


def _is_unread(entry: _Entry) -> bool:
    return entry.kind == "not_image" and _ending(entry.path) in _READERS


def _readers(paths: list[str]) -> list[str]:
    """Return what reads those of the files that are images of less common formats."""
    return list(dict.fromkeys(_READERS[_ending(path)] for path in paths if _ending(path) in _READERS))


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _listing(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: natural_key(entry.name))


def text_column(paths: list[str]) -> pd.Series:
    """Return paths as a column of text, those that are not UTF-8 (of an old archive, say) by their true names."""
    try:
        return pd.Series(paths, dtype=str)
    except UnicodeEncodeError:  # Arrow, which holds the text of pandas 3 by default, takes nothing else.
        with pd.option_context("mode.string_storage", "python"):
            return pd.Series(paths, dtype=str)


def _chosen(categories: Sequence[str], class_names: list[str], root: str) -> list[str]:
    if isinstance(categories, str):
        raise TypeError(f"categories must be a list of folder names, got the string {categories!r}: [{categories!r}].")
    unknown = sorted(set(categories).difference(class_names, map(valid_text, class_names)), key=str)
    if unknown or not len(categories):
        raise ValueError(
            f"categories names {unknown} (of {list(categories)}); the folders in {root!r} are {class_names}."
        )
    return [name for name in class_names if name in categories or valid_text(name) in categories]


def _nothing_to_load(root: str, names: list[str], empty: list[str], tree: _Tree) -> str:
    stray, parent = tree.no_class(), os.path.dirname(os.path.abspath(root))
    hint = _hint(tree.unread()) + _links_hint(tree)
    if names and len(empty) < len(names):
        return (
            f"{root!r} has {counted(len(empty), 'folder')} without an image: {empty}. Every folder there is a class: "
            f"put images in, remove the folder, or name the ones to load with categories=[...].{hint}"
        )
    if stray:
        return (
            f"{root!r} has {counted(len(stray), 'image')} directly in it, such as {os.path.basename(stray[0])!r}, "
            f"so that their class is not known. If they are one class, give the folder above, {parent!r}; otherwise "
            "move each into a folder named after its class, or list paths and labels in a table and use "
            "load_image_table. Images to be classified need no labels: labels=None."
        )
    found = f"its folders {names} hold none" if names else "it holds no folder"
    return (
        f"There are no images in {root!r}: {found}. Expected a folder that contains one folder of images "
        f"per class; {_what_is_read()}.{hint}"
    )


def _what_is_read() -> str:
    return f"{counted(len(image_extensions()), 'extension')} are read, such as .jpg, .png, .tif and .webp"


def _hint(unread: list[str]) -> str:
    if not unread:
        return ""
    return f" {counted(len(unread), 'file')} such as {os.path.basename(unread[0])!r}: {', '.join(_readers(unread))}."


def _links_hint(tree: _Tree) -> str:
    links = tree.links()
    if not links:
        return ""
    return f" Passed over: {counted(len(links), 'symbolic link')}; follow_links=True takes those that lead out of it."
