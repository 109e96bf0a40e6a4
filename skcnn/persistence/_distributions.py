"""Distributions of scipy, as a randomised search holds them: stored as a public name with its numbers.

scipy's own frozen distributions run text when they are rebuilt from their state, and so never come from a file.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

#: Names in ``scipy.stats`` that a file may ask for.
DISTRIBUTIONS = (
    "arcsine",
    "bernoulli",
    "beta",
    "betabinom",
    "binom",
    "boltzmann",
    "cauchy",
    "chi2",
    "dlaplace",
    "expon",
    "exponnorm",
    "f",
    "gamma",
    "geom",
    "halfcauchy",
    "halflogistic",
    "halfnorm",
    "hypergeom",
    "invgamma",
    "invgauss",
    "laplace",
    "logistic",
    "loglaplace",
    "lognorm",
    "logser",
    "loguniform",
    "nbinom",
    "norm",
    "pareto",
    "planck",
    "poisson",
    "powerlaw",
    "randint",
    "rayleigh",
    "reciprocal",
    "skellam",
    "t",
    "trapezoid",
    "triang",
    "truncexpon",
    "truncnorm",
    "uniform",
    "wald",
    "weibull_max",
    "weibull_min",
    "zipf",
)


class StoredDistribution:
    """A frozen distribution as a file has it.

    Parameters
    ----------
    name : str
        Its name in ``scipy.stats``.
    args : list of float
        The arguments that it was made with.
    kwds : dict of str to float
        Those that were given by name.
    """

    def __init__(self, name: str, args: list[float], kwds: dict[str, float]):
        self.name = name
        self.args = args
        self.kwds = kwds


def stored(value: Any) -> Any:
    """Return what stands for a distribution of scipy in a file; other values as they are.

    Raises
    ------
    TypeError
        If it cannot be rebuilt from a name and numbers.
    """
    if isinstance(value, type) or not type(value).__module__.startswith("scipy.stats."):
        return value
    from scipy import stats

    name = getattr(getattr(value, "dist", None), "name", None)
    if name not in DISTRIBUTIONS or type(value.dist) is not type(getattr(stats, name)):
        raise TypeError(
            f"{value!r} cannot be saved: scipy rebuilds distributions by running text, which a file must not hold. "
            f"Expected one of scipy.stats: {', '.join(DISTRIBUTIONS)}; or a list of values."
        )
    args = [_plain(number) for number in value.args]
    return StoredDistribution(name, args, {key: _plain(number) for key, number in value.kwds.items()})


def rebuilt(value: Any) -> Any:
    """Return the distribution that :func:`stored` was given; other values as they are.

    Raises
    ------
    ValueError
        If the file asks for anything else than a name of the list with numbers.
    """
    if not isinstance(value, StoredDistribution):
        return value
    from scipy import stats

    name, args, kwds = (vars(value).get(key) for key in ("name", "args", "kwds"))
    if not (
        name in DISTRIBUTIONS
        and isinstance(args, list)
        and isinstance(kwds, dict)
        and all(isinstance(number, Real) for number in [*args, *kwds.values()])
    ):
        raise ValueError("it holds a distribution that is not a name of scipy.stats with numbers")
    return getattr(stats, name)(*args, **kwds)


def _plain(number: Any) -> float:
    """Return a number as a file has it."""
    if isinstance(number, Real):
        return number if isinstance(number, (int, float)) else number.item()  # type: ignore[attr-defined]
    raise TypeError(f"A distribution with {number!r} cannot be saved: expected numbers as its arguments.")
