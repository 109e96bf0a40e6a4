"""A source as X gives what the same images as an array give: fine-tuning, prediction, reports."""

import os

import numpy as np
import pytest

from skcnn.datasets import TFRecordImages, write_tfrecords
from skcnn.report import ClassifierReport
from skcnn.report._provenance import digest_of_input


@pytest.fixture
def source(task, tmp_path):
    """The images of the task in shards that did not change lately, read through a class that counts."""

    class Counted(TFRecordImages):
        n_read = 0

        def read_many(self, rows):
            Counted.n_read += len(rows)
            return super().read_many(rows)

    shards = write_tfrecords(*task, tmp_path / "shards", 8)
    for path in shards:
        os.utime(path, (1e9, 1e9))
    return Counted(shards)


def test_fine_tuning_is_that_of_the_same_images_as_an_array(task, source, tiny):
    X, y = task
    np.testing.assert_array_equal(source.labels(), y)
    expected = tiny().fit(X, y).predict_proba(X)
    given = tiny().fit(source, source.labels()).predict_proba(source[::-1])[::-1]
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-5)


def test_reports_name_rows_by_shard_and_offset(task, source, tiny, tmp_path):
    classifier = tiny(epochs=0).fit(*task)
    report = ClassifierReport.from_estimator(classifier, source[5:], source[5:].labels())
    report.to_html(tmp_path / "report.html")
    assert "images-00000-of-00004.tfrecord, offset " in (tmp_path / "report.html").read_text()
    before = type(source).n_read
    text = digest_of_input(source[5:])
    assert text.endswith("of 25 rows, the stamps of a Counted")
    assert text != digest_of_input(source[4:29])
    os.utime(source.shards[0].path)
    assert digest_of_input(type(source)([shard.path for shard in source.shards])).startswith("not digested: a Counted")
    assert type(source).n_read == before
