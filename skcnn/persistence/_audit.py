"""The check of a state that skops is to build: how much it holds, how it hangs together, and of which types.

skops itself sees that no type is built that is not trusted. What it leaves open, and is checked before it reads the
state: the sizes that a file declares; nodes that are used many times, over which its own check takes exponentially
long; its kinds of nodes, of which some call what others only name; and types that it trusts and skcnn does not.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterable
from typing import Any

import numpy as np

from skcnn._archives import open_archive, read_member
from skcnn.persistence._types import TRUSTED_CLASSES, denial, trusted_functions

#: Bounds of a state: bytes of its schema, nodes in it, and how deep these are nested.
MAX_SCHEMA = 32 * 2**20
MAX_NODES = 200_000
MAX_DEPTH = 100

_MAX_HEADER = 10_000  # of an array, as numpy.load has it
_OLDEST_PROTOCOL = 1

#: Kinds of nodes that hold plain data, and the types that they may have; None for what has no type of its own.
_PLAIN: dict[str, set[str] | None] = {
    "BytearrayNode": {"builtins.bytearray"},
    "BytesNode": {"builtins.bytes"},
    "DTypeNode": {"numpy.dtype"},
    "DefaultDictNode": {"collections.defaultdict"},
    "DictNode": {"builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"},
    "JsonNode": None,
    "ListNode": {"builtins.list"},
    "MaskedArrayNode": {"numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"},
    "NdArrayNode": {
        "numpy.ndarray",
        # Not void: made from a number, it has as many bytes.
        *(f"numpy.{kind.__name__}" for kind in np.sctypeDict.values() if kind not in (np.void, np.object_)),
    },
    "RandomStateNode": {"numpy.random.mtrand.RandomState"},
    "SetNode": {"builtins.set"},
    "SliceNode": {"builtins.slice"},
    "TupleNode": {"builtins.tuple"},
}
#: Kinds of nodes whose types are those that skops trusts there, and these.
_NAMED = {
    "FunctionNode": trusted_functions,
    "LossNode": frozenset,
    "ObjectNode": lambda: TRUSTED_CLASSES,
    "TypeNode": lambda: TRUSTED_CLASSES,
}
#: All kinds; the further ones call, or build what only the user knows.
_KINDS = (
    _PLAIN.keys()
    | _NAMED.keys()
    | {"ConstructorFromReduceNode", "MethodNode", "OperatorFuncNode", "PartialNode", "SparseMatrixNode"}
)


class Audit:
    """What the types of a state come to.

    Parameters
    ----------
    state : bytes
        The state, an archive as skops writes it.
    trusted : iterable of str
        Full names of further types that may be built.

    Attributes
    ----------
    allowed : list of str
        Names of the types in it that may be built and that skops does not trust on its own.
    unknown : list of str
        Names of those that are not known to be harmless.
    denied : dict of str to str
        Names of those that are never built, and why not.

    Raises
    ------
    ValueError
        If it breaks a bound, or is not as skops writes it. What else reading raises is skops's and zipfile's own.
    """

    def __init__(self, state: bytes, trusted: Iterable[str] = ()):
        import skops.io

        self.allowed: list[str] = []
        self.unknown: list[str] = []
        with open_archive(io.BytesIO(state), max_members=MAX_NODES, max_ratio=1, slack=0) as archive:
            nodes = _nodes(archive)
            self.denied = _denied(_name(node) for node in nodes)
            if self.denied:
                return
            for node in nodes:
                if node["__loader__"] not in _KINDS:
                    raise ValueError(
                        f"its schema has a {node['__loader__']}, of {_name(node)}, which skcnn never builds"
                    )
            for name in archive.namelist():
                _check_file(archive, name)
        foreign = set(skops.io.get_untrusted_types(data=state))
        found, methods = _split(nodes, foreign)
        self.denied = _denied(foreign)
        asked = set(trusted)
        self.allowed = sorted(name for name in foreign if found.get(name) or name in asked)
        self.unknown = sorted(
            {name for name in {*found, *foreign, *methods} if not found.get(name) and name not in asked}
            - self.denied.keys()
        )


def _name(node: dict[str, Any]) -> str:
    return f"{node['__module__']}.{node['__class__']}"


def _denied(names: Iterable[str]) -> dict[str, str]:
    return {name: reason for name in sorted(set(names)) if (reason := denial(name))}


def _split(nodes: list[dict[str, Any]], foreign: set[str]) -> tuple[dict[str, bool], set[str]]:
    """Return the name of each type, and whether all nodes of it may be built; and the names of methods."""
    found: dict[str, bool] = {}
    methods = set()
    for node in nodes:
        kind, name = node["__loader__"], _name(node)
        if kind in _PLAIN:
            types = _PLAIN[kind]
            known = types is None or name in types
            if types is None:
                continue
        elif kind in _NAMED:
            known = name not in foreign or name in _NAMED[kind]()  # type: ignore[operator]
        else:
            known = False
            if kind == "MethodNode":
                methods.add(f"{name}.{node['content']['func']}")
        found[name] = found.get(name, True) and known
    return found, methods


def _nodes(archive: zipfile.ZipFile) -> list[dict[str, Any]]:
    """Return the nodes of a schema, once they are known to be a tree, and as large as they look."""
    content = read_member(archive, "schema.json", MAX_SCHEMA)
    if content.count(b"{") + content.count(b"[") > 5 * MAX_NODES:
        raise ValueError(f"its schema has more than {MAX_NODES:,} nodes")
    schema = json.loads(content)
    protocol = schema.get("protocol") if isinstance(schema, dict) else None
    if type(protocol) is not int or protocol < _OLDEST_PROTOCOL:
        raise ValueError(f"its schema has protocol {protocol!r}; expected {_OLDEST_PROTOCOL} or later")
    tree = _Tree()
    tree.walk(schema, 0)
    return tree.nodes


class _Tree:
    """The nodes of a schema.

    A node has an id, and skops takes a later node of the same id for the first one. Where all nodes of an id are
    alike, what is built is as large as what is written.
    """

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self._shapes: dict[Any, int] = {}  # equal parts of the schema have one number
        self._shape_of_id: dict[Any, int] = {}
        self._id_of_file: dict[str, Any] = {}

    def walk(self, value: Any, depth: int) -> int:
        """Check a part of the schema, and return the number of its shape."""
        if depth > 3 * MAX_DEPTH:  # a node, its content, a value in it
            raise ValueError(f"its schema is nested more than {MAX_DEPTH} nodes deep")
        shape: Any
        if isinstance(value, dict):
            # Also what has an id only: skops takes the first node of this id for it. Keys of the user's hold nodes.
            is_node = isinstance(value.get("__loader__"), str) or not isinstance(value.get("__id__", {}), dict)
            parts: list[Any] = []
            for key, part in value.items():
                if not (is_node and key in ("__id__", "file")):  # skops gives the file of an object a new name
                    parts += key, self.walk(part, depth + 1)
            shape = ("dict", *parts)
        elif isinstance(value, list):
            is_node, parts = False, []
            for part in value:
                parts.append(self.walk(part, depth + 1))
            shape = ("list", *parts)
        else:
            is_node, shape = False, (type(value).__name__, value)
        number = self._shapes.setdefault(shape, len(self._shapes))
        if is_node:
            self._add(value, number)
        return number

    def _add(self, node: dict[str, Any], shape: int) -> None:
        if not all(isinstance(node.get(key), str) for key in ("__loader__", "__module__", "__class__")):
            raise ValueError("a node of its schema has no loader, module and class")
        self.nodes.append(node)
        if len(self.nodes) > MAX_NODES:
            raise ValueError(f"its schema has more than {MAX_NODES:,} nodes")
        identity = node.get("__id__")
        if identity is not None and not isinstance(identity, int):
            raise ValueError(f"a node of its schema has the id {identity!r}; expected an int")
        if identity and self._shape_of_id.setdefault(identity, shape) != shape:
            raise ValueError("nodes of its schema have the same id, and are not the same")
        file = node.get("file")
        # Read once per node: a large one must not be read by many.
        if isinstance(file, str) and (not identity or self._id_of_file.setdefault(file, identity) != identity):
            raise ValueError(f"{file} belongs to several nodes of its schema")


def _check_file(archive: zipfile.ZipFile, name: str) -> None:
    """See that a file is of a kind that skops writes, and an array not larger than what is stored of it."""
    if name == "schema.json" or name.endswith(".bin"):
        return
    if name.endswith(".npy"):
        with archive.open(name) as file:
            size = archive.getinfo(name).file_size
            _check_array(file, size, name)  # type: ignore[arg-type]
    elif name.endswith(".npz"):
        # scipy's own way to store sparse matrices, which compresses.
        with open_archive(io.BytesIO(read_member(archive, name)), max_members=16) as arrays:
            for part in arrays.infolist():
                with arrays.open(part) as file:
                    _check_array(file, part.file_size, f"{name}/{part.filename}")  # type: ignore[arg-type]
        _check_sparse(read_member(archive, name), name)
    else:
        raise ValueError(f"it has a member {name!r}; expected schema.json, .npy, .npz and .bin")


def _check_array(file: io.BufferedIOBase, size: int, name: str) -> None:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"{name} is an array in version {version}")
    # Before its text is read: what follows the magic is its length.
    width = 2 if version == (1, 0) else 4
    prefix = file.read(width)
    length = int.from_bytes(prefix, "little")
    if length > _MAX_HEADER:
        raise ValueError(f"{name} has a header of {length:,} bytes; expected at most {_MAX_HEADER:,}")
    header = io.BytesIO(prefix + file.read(length))
    read = np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(header)
    declared = math.prod(shape) * dtype.itemsize
    stored = size - len(np.lib.format.magic(*version)) - width - length
    is_endless = dtype.itemsize == 0 and math.prod(shape) > MAX_NODES
    if dtype.hasobject or is_endless or any(side < 0 for side in shape) or declared != stored:
        raise ValueError(f"{name} declares {shape} of {dtype}, and {stored:,} bytes are stored")


def _check_sparse(content: bytes, name: str) -> None:
    """See that the indices of a sparse matrix lie in it: products and sums take them as they are."""
    from scipy import sparse

    matrix = sparse.load_npz(io.BytesIO(content))
    if hasattr(matrix, "check_format"):  # csr, csc, bsr
        matrix.check_format(full_check=True)
    elif matrix.format not in ("coo", "dia"):  # these check theirs
        raise ValueError(f"{name} is a sparse matrix of format {matrix.format}")
