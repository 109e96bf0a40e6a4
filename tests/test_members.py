"""skcnn._members: what of an estimator goes into members of a file, wherever the estimator is."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

from skcnn._members import packed, unpacked


class Holder(BaseEstimator):
    """An estimator whose parameter ``network`` travels as a member."""

    def __init__(self, network=None, inner=None):
        self.network = network
        self.inner = inner

    def __skcnn_pack__(self, members):
        if self.network is None:
            return {}
        members[f"networks/{self.network}"] = str(self.network).encode()
        return {"network": {"member": f"networks/{self.network}"}}

    def __skcnn_unpack__(self, members):
        return {"network": members[self.network["member"]].decode()} if isinstance(self.network, dict) else {}


class Plain:
    """An object that is no estimator."""

    def __init__(self, held):
        self.held = held


def masked(value):
    array = np.ma.MaskedArray(np.empty(2, object), mask=[False, True])
    array[0] = value
    return array


def of_object_array(value):
    array = np.empty((1, 1), object)
    array[0, 0] = value
    return array


@pytest.mark.parametrize(
    ("wrap", "unwrap"),
    [
        (lambda value: value, lambda wrapped: wrapped),
        (lambda value: Holder(inner=value), lambda wrapped: wrapped.inner),
        (lambda value: [1, ("a", value)], lambda wrapped: wrapped[1][1]),
        (lambda value: Bunch(a={"b": value}), lambda wrapped: wrapped.a["b"]),
        (Plain, lambda wrapped: wrapped.held),
        (of_object_array, lambda wrapped: wrapped[0, 0]),
        (masked, lambda wrapped: wrapped[0]),
    ],
    ids=["itself", "estimator", "list", "bunch", "object", "array", "masked"],
)
def test_there_and_back(wrap, unwrap):
    inner, members = Holder("net"), {}
    given = wrap(inner)
    stored = packed(given, members)
    assert members == {"networks/net": b"net"}
    assert unwrap(stored).network == {"member": "networks/net"}
    assert type(stored) is type(given)
    assert unwrap(given) is inner  # what was given is not changed
    assert inner.network == "net"
    assert unwrap(unpacked(stored, members)).network == "net"


def test_what_holds_no_member_is_not_copied():
    given = Holder(inner=[{"a": np.zeros(3)}, Plain(Holder()), np.array(["a", None], object)])
    assert packed(given, {}) is given


def test_an_object_that_is_held_twice_stays_one():
    inner = Holder("net")
    stored = packed([inner, Holder(inner=inner)], {})
    assert stored[0] is stored[1].inner


def test_an_object_that_holds_itself():
    given = Holder("net")
    given.inner = given
    assert packed(given, {}).network == {"member": "networks/net"}


def test_what_a_file_sets_on_an_object_is_not_called():
    given = Bunch()
    plain = Plain(None)
    plain.__skcnn_pack__ = plain.__skcnn_unpack__ = lambda *_: pytest.fail("called")
    given["__skcnn_pack__"] = plain.__skcnn_pack__
    packed([plain, given], {})
    unpacked([plain, given], {})
