"""The source of docs/sources.md that reads from Cassandra, with a stand-in of the driver: no server is asked."""

import pickle
import re
import sys
import types
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from skcnn.images import check_images

PAGE = Path(__file__).parents[2] / "docs" / "sources.md"


class Row(NamedTuple):
    label: str
    image: bytes | None


def png(value):
    file = BytesIO()
    Image.new("RGB", (5, 4), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


TABLE = {f"id{row}": Row("ab"[row % 2], png(row)) for row in range(9)}


class Session:
    """As cassandra.cluster.Session, of one prepared statement."""

    n_made = 0

    def __init__(self):
        Session.n_made += 1

    def prepare(self, query):
        assert query == "SELECT label, image FROM products WHERE id = ?"
        return query

    def __reduce__(self):
        raise TypeError("a session cannot be pickled")


class ResultSet:
    def __init__(self, rows):
        self.rows = rows

    def one(self):
        return self.rows[0] if self.rows else None


@pytest.fixture
def source_class(monkeypatch):
    """The class as it stands on the page."""

    def execute(session, statement, parameters, concurrency=100, raise_on_first_error=True):
        assert isinstance(session, Session)
        assert not raise_on_first_error
        assert concurrency == 64
        results = []
        for (key,) in parameters:
            if key == "down":
                results.append((False, TimeoutError("no replica answered")))
            else:
                results.append((True, ResultSet([TABLE[key]] if key in TABLE else [])))
        return results

    class Cluster:
        def __init__(self, hosts):
            assert hosts == ["10.0.0.1"]

        def connect(self, keyspace):
            assert keyspace == "shop"
            return Session()

    for name, content in {
        "cassandra": {},
        "cassandra.cluster": {"Cluster": Cluster},
        "cassandra.concurrent": {"execute_concurrent_with_args": execute},
    }.items():
        module = types.ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    (code,) = re.findall(r"^```\{code-block\} python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    page = types.ModuleType("page_of_sources")
    monkeypatch.setitem(sys.modules, page.__name__, page)
    exec(code, page.__dict__)
    Session.n_made = 0
    return page.CassandraImages


def test_images_and_labels(source_class):
    source = source_class(["10.0.0.1"], "shop", [f"id{row}" for row in range(9)])
    assert list(source[3:5]) == [png(3), png(4)]
    assert source[::3].labels().tolist() == ["a", "b", "a"]
    assert Session.n_made == 1
    again = pickle.loads(pickle.dumps(source[7:]))
    assert list(again) == [png(7), png(8)]
    assert Session.n_made == 2


def test_rows_without_an_image(source_class, monkeypatch):
    monkeypatch.setitem(TABLE, "empty", Row("a", None))
    source = source_class(["10.0.0.1"], "shop", ["id1", "down", "id77", "empty"])
    bad = check_images(source)
    assert bad[["row", "reason"]].to_numpy().tolist() == [
        [1, "no replica answered"],
        [2, "no such id"],
        [3, "missing value"],
    ]
