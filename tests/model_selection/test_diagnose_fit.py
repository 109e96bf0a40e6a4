import numpy as np
import pytest
from scipy.stats import binomtest

from skcnn.model_selection import FitDiagnosisDisplay, diagnose_fit


def test_gaps_of_two_sources():
    # Machine Learning Yearning, chapter 41: human 0 %, training 1 %, training dev 1.5 %, dev 10 %: data mismatch.
    diagnosis = diagnose_fit(human=0.0, train=0.01, train_dev=0.015, dev=0.10)
    frame = diagnosis.frame()
    assert frame.index.name == "gap"
    assert list(frame.index) == ["avoidable bias", "variance", "data mismatch"]
    np.testing.assert_allclose(frame["difference"], [0.01, 0.005, 0.085])
    assert frame[["first", "second"]].to_numpy().tolist() == [
        ["human", "train"],
        ["train", "train_dev"],
        ["train_dev", "dev"],
    ]
    assert diagnosis.largest.name == "data mismatch"
    assert "Work on data mismatch first" in str(diagnosis)


@pytest.mark.parametrize(
    ("errors", "name"),
    [
        # The book's examples of chapters 20 and 41.
        ({"train": 0.01, "dev": 0.11}, "variance"),
        ({"train": 0.15, "dev": 0.16}, "avoidable bias"),
        ({"human": 0.14, "train": 0.15, "dev": 0.30}, "variance"),
        ({"human": 0.0, "train": 0.10, "train_dev": 0.11, "dev": 0.12}, "avoidable bias"),
        ({"human": 0.01, "train": 0.02, "dev": 0.03, "test": 0.10}, "overfitting to dev"),
    ],
)
def test_the_largest_gap_is_worked_on_first(errors, name):
    diagnosis = diagnose_fit(**errors)
    assert diagnosis.largest.name == name
    assert f"Work on {name} first" in str(diagnosis)


def test_interval_of_a_difference():
    # Newcombe 1998, table II, example (a), method 10: 56/70 against 48/80 gives 0.0524 to 0.3339.
    gap = diagnose_fit(train=(48, 80), dev=(56, 70)).gaps[1]
    assert (gap.difference, gap.difference_low, gap.difference_high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(("n_wrong", "n_rows"), [(0, 20), (3, 50), (50, 50), (400, 10_000)])
def test_interval_of_a_rate_is_wilsons(n_wrong, n_rows):
    rate = diagnose_fit(train=(n_wrong, n_rows), dev=0.5).rates["train"]
    expected = binomtest(n_wrong, n_rows).proportion_ci(0.9, method="wilson")
    assert rate.interval(0.9) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_against_an_exact_rate_the_interval_is_that_of_the_other():
    gap = diagnose_fit(human=0.01, train=(40, 2000), dev=0.05).gaps[0]
    expected = binomtest(40, 2000).proportion_ci(0.95, method="wilson")
    assert (gap.difference_low, gap.difference_high) == pytest.approx((expected.low - 0.01, expected.high - 0.01))


def test_what_may_be_chance_is_said_and_not_worked_on():
    diagnosis = diagnose_fit(human=0.05, train=(50, 1000), dev=(6, 100), test=(9, 100))
    assert diagnosis.frame()["verdict"].tolist() == ["within noise"] * 3
    assert (diagnosis.frame()["next"] == "").all()
    assert diagnosis.largest is None
    text = str(diagnosis)
    assert text.count("within sampling noise") == 3
    assert "No gap stands out" in text
    # The same rates of ten thousand times as many rows are no chance.
    assert diagnose_fit(human=0.05, train=0.05, dev=(60_000, 1_000_000)).largest.name == "variance"


def test_without_counts_nothing_is_said_of_chance():
    diagnosis = diagnose_fit(human=0.0, train=0.01, dev=0.03)
    assert diagnosis.frame()[["difference_low", "difference_high"]].isna().all(axis=None)
    assert set(diagnosis.frame()["verdict"]) == {"unknown"}
    assert "Give (number wrong, number of rows)" in str(diagnosis)


def test_without_human_the_whole_training_error_counts():
    diagnosis = diagnose_fit(train=0.2, dev=0.25)
    assert diagnosis.gaps[0].difference == pytest.approx(0.2)
    assert "human= is not given" in str(diagnosis)
    assert "human" not in str(diagnosis).splitlines()[0]
    assert "human= is not given" not in str(diagnose_fit(train=0.2, dev=0.25, human=0.1))


def test_a_part_that_is_easier():
    diagnosis = diagnose_fit(human=(30, 200), train=(2, 1000), train_dev=(300, 1000), dev=(100, 1000))
    assert diagnosis.frame()["verdict"].tolist() == ["negative", "real", "negative"]
    assert "dev is easier than train-dev" in str(diagnosis)
    assert diagnosis.largest.name == "variance"


@pytest.mark.parametrize("error", [-0.1, 1.5, (5, 4), (1, 0), (0.1, 100), (1, 2, 3), "0.1", True, float("nan")])
def test_wrong_errors(error):
    with pytest.raises(ValueError, match=r"dev=.*expected an error rate in"):
        diagnose_fit(train=0.1, dev=error)


def test_wrong_confidence_level():
    with pytest.raises(ValueError, match="confidence_level=95"):
        diagnose_fit(train=0.1, dev=0.2, confidence_level=95)


def test_numpy_numbers_are_accepted():
    assert diagnose_fit(train=np.float64(0.1), dev=(np.int64(1), np.int64(4))).rates["dev"] == (0.25, 4)


@pytest.mark.parametrize(
    "errors",
    [
        {"human": 0.01, "train": (40, 2000), "train_dev": (13, 500), "dev": (48, 600), "test": (51, 600)},
        {"train": 0.0, "dev": 0.0},
        {"human": 0.2, "train": (0, 10), "dev": (10, 10)},
    ],
)
def test_display(errors, tmp_path):
    diagnosis = diagnose_fit(**errors)
    given = {part: diagnosis.rates[part] for part in diagnosis.rates if part in errors}
    display = FitDiagnosisDisplay(given, diagnosis.gaps).plot()
    display.figure_.savefig(tmp_path / "diagnosis.png")
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == [
        part.replace("_", "-") for part in ("human", "train", "train_dev", "dev", "test") if part in errors
    ]
    drawn = " ".join(text.get_text() for text in display.ax_.texts)
    for gap in diagnosis.gaps:
        assert f"{gap.name} {100 * gap.difference:+.1f}" in drawn
    assert display.frame().equals(diagnosis.frame())
    assert diagnosis.plot().figure_ is not display.figure_


def test_display_draws_where_it_is_told():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    diagnosis = diagnose_fit(train=0.1, dev=0.2)
    display = FitDiagnosisDisplay(diagnosis.rates, diagnosis.gaps, name="cost $5 and $6")
    assert display.plot(ax) is display
    assert display.ax_ is ax
    assert ax.get_title() == "cost $5 and $6"
    assert diagnose_fit(train=0.1, dev=0.2).plot(ax).ax_ is ax


@pytest.mark.parametrize("part", ["train", "dev"])
def test_train_and_dev_are_needed(part):
    with pytest.raises(ValueError, match=f"{part}=None; expected"):
        diagnose_fit(**{"train": 0.1, "dev": 0.2, part: None})
