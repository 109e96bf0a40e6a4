"""States that are forged so that skops would hang, take all memory or call what it should only name."""

import io
import json

import numpy as np
import pytest
import skops.io
from forging import parts_of, state_of, write
from scipy import sparse
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skcnn
from skcnn.persistence import ModelFileError, UntrustedTypesError

PROTOCOL = parts_of(skops.io.dumps(1))[0]["protocol"]


def node(loader, name, **more):
    module, _, last = name.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": last, **more}


def plain(value):
    return node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


def listed(*items, **more):
    return node("ListNode", "builtins.list", content=list(items), **more)


def tupled(*items):
    return node("TupleNode", "builtins.tuple", content=list(items))


def mapped(**items):
    keys = listed(*(node("TypeNode", "builtins.str") for _ in items))
    return node("DictNode", "builtins.dict", content=items, key_types=keys)


@pytest.fixture
def load(tmp_path):
    """Return the function that loads a schema."""

    def load(schema, files=(), **options):
        write(tmp_path / "a.skcnn", {"estimator.skops": state_of({**schema, "protocol": PROTOCOL}, files)})
        return skcnn.load(tmp_path / "a.skcnn", **options)

    return load


def test_the_means_of_these_tests_work(load):
    schema = mapped(a=listed(plain(1), tupled(plain("x"))), b=plain(None))
    assert load(schema) == {"a": [1, ("x",)], "b": None}


def array(content, **more):
    return node("NdArrayNode", "numpy.ndarray", type="numpy", file="a.npy", __id__=7, **more), {"a.npy": content}


def npy(shape, dtype="<f8", data=b""):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


def test_arrays_hold_what_they_declare(load):
    np.testing.assert_array_equal(load(*array(npy((2,), data=np.ones(2).tobytes()))), [1, 1])
    for content in (
        npy((10**12,)),
        npy((2,), data=b"x"),
        npy((-1,)),
        npy((10**12,), "|V0"),
        npy((1,), "|O", bytes(8)),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
        b"\x93NUMPY\x09\x00",
        b"",
    ):
        with pytest.raises(ModelFileError):
            load(*array(content))


def test_a_file_is_read_for_one_node(load):
    given, files = array(npy((2,), data=np.ones(2).tobytes()))
    first, second = load(listed(given, given), files)
    assert first is second
    with pytest.raises(ModelFileError, match=r"a\.npy belongs to several nodes"):
        load(listed(given, {**given, "__id__": 8}), files)


@pytest.mark.parametrize("again", [{}, {"__loader__": "ListNode", "__module__": "builtins", "__class__": "list"}])
def test_nodes_of_one_id_are_alike(load, again):
    """Or else a few lines would stand for 2^60 nodes, all of which skops looks at."""
    schema = listed(plain(1), __id__=1)
    for level in range(2, 60):
        short = {**again, "__id__": level - 1, **({"content": []} if again else {})}
        schema = listed(schema, short, __id__=level)
    with pytest.raises(ModelFileError, match=r"same id|no loader"):
        load(schema)


def test_depth_and_number_are_bounded(load):
    schema = plain(1)
    for _ in range(200):
        schema = listed(schema)
    with pytest.raises(ModelFileError, match="nested"):
        load(schema)
    with pytest.raises(ModelFileError, match="more than 200,000 nodes"):
        load(listed(*[{}] * 1_200_000))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (node("CachedNode", "builtins.list", __id__=5), "CachedNode"),
        (node("QuantileForestNode", "builtins.list", __reduce__={}), "QuantileForestNode"),
        (node("RandomGeneratorNode", "numpy.random._generator.Generator", content={}), "RandomGeneratorNode"),
        (node("ListNode", "builtins.list", content=[], __id__="a"), "has the id"),
        ({"__loader__": "ListNode", "__module__": None, "__class__": "list", "content": []}, "no loader, module"),
        (mapped(a={"__id__": 3}), "no loader, module"),
    ],
)
def test_kinds_of_nodes(load, schema, message):
    with pytest.raises(ModelFileError, match=message):
        load(schema)


@pytest.mark.parametrize(
    "schema",
    [
        node("ConstructorFromReduceNode", "skcnn.feature_extraction.BottleneckFeatures", content=tupled(plain("x"))),
        node("LossNode", "sklearn.metrics._classification.accuracy_score", __reduce__={"args": tupled(plain(1))}),
        node("ListNode", "sklearn.metrics._classification.accuracy_score", content=[]),
        node("DictNode", "sklearn.metrics._classification.accuracy_score", content={}, key_types=listed()),
        node("SetNode", "builtins.list", content=[]),
        node("TypeNode", "subprocess.Popen"),
        node("FunctionNode", "os.system"),
        node("FunctionNode", "numpy.load"),
        node("ObjectNode", "subprocess.Popen"),
        node("MethodNode", "sklearn.utils._bunch.Bunch", content={"func": "clear", "obj": mapped(a=plain(1))}),
        node("OperatorFuncNode", "operator.methodcaller", attrs=tupled(plain("clear"))),
        node(
            "PartialNode",
            "functools.partial",
            content={"func": plain(1), "args": tupled(), "kwds": mapped(), "namespace": plain(None)},
        ),
        node("NdArrayNode", "numpy.void", type="json", content=[], shape=tupled(plain(0))),
    ],
    ids=lambda schema: f"{schema['__loader__']}-{schema['__class__']}",
)
def test_nothing_is_called_that_is_only_trusted_to_be_there(load, schema):
    schema.setdefault("content", tupled()) if schema["__loader__"] == "LossNode" else None
    with pytest.raises(ModelFileError):
        load(schema)


def test_old_protocols_have_other_nodes(tmp_path):
    for protocol in (0, -1, True, None, "2"):
        write(tmp_path / "a.skcnn", {"estimator.skops": state_of({**plain(1), "protocol": protocol})})
        with pytest.raises(ModelFileError, match="protocol"):
            skcnn.load(tmp_path / "a.skcnn")


def test_a_state_is_not_compressed(tmp_path):
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", " " * 10_000_000)
    write(tmp_path / "a.skcnn", {"estimator.skops": buffer.getvalue()})
    with pytest.raises(ModelFileError, match="members declare 10,000,000 bytes"):
        skcnn.load(tmp_path / "a.skcnn")


def test_a_long_schema(load, monkeypatch):
    monkeypatch.setattr("skcnn.persistence._audit.MAX_SCHEMA", 10_000)
    with pytest.raises(ModelFileError, match=r"schema\.json declares"):
        load(plain("x" * 10_000))


def test_sparse_matrices_are_the_users_to_trust(tmp_path):
    path = tmp_path / "a.skcnn"
    matrix = sparse.csr_matrix(np.eye(3))
    transformer = FunctionTransformer(kw_args={"matrix": matrix})
    with pytest.warns(UserWarning, match="csr_matrix"):
        skcnn.save(transformer, path)
    with pytest.raises(UntrustedTypesError) as caught:
        skcnn.load(path)
    again = skcnn.load(path, trusted=caught.value.types).kw_args["matrix"]
    np.testing.assert_array_equal(again.toarray(), np.eye(3))
    matrix.indices[0] = 10**6
    write(path, {"estimator.skops": skops.io.dumps(transformer)})
    with pytest.raises(ModelFileError):
        skcnn.load(path, trusted=caught.value.types)


def test_what_is_held_twice_is_saved(tmp_path):
    """A dtype is written anew each time, under the same id."""
    imputer = SimpleImputer().fit([[1.0], [2.0]])
    pipeline = make_pipeline(imputer, imputer, LogisticRegression())
    skcnn.save(pipeline, tmp_path / "a.skcnn")
    again = skcnn.load(tmp_path / "a.skcnn")
    assert again[0].statistics_ == 1.5
    assert again[0] is again[1]
