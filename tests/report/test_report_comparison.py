import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skcnn.metrics import bootstrap_intervals, compare_predictions
from skcnn.report import ClassifierReport, compare_reports

CLASSES = ["a", "b", "c"]


def scores(seed: int, lift: float) -> tuple[np.ndarray, np.ndarray]:
    y_true = np.random.default_rng(0).integers(0, 3, 200)
    score = np.random.default_rng(seed).normal(size=(200, 3))
    score[np.arange(200), y_true] += lift
    return np.array(CLASSES)[y_true], np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)


def report(seed: int, lift: float, name: str, **options) -> ClassifierReport:
    y_true, y_score = scores(seed, lift)
    return ClassifierReport.from_predictions(y_true, y_score, classes=CLASSES, name=name, **options)


@pytest.fixture(scope="module")
def comparison():
    reports = [report(1, 1, "weak"), report(2, 3, "strong"), report(3, 1, "weak")]
    return compare_reports(reports, n_resamples=200)


def test_metrics_and_differences_are_those_of_the_functions(comparison):
    y_true, first = scores(1, 1)
    _, second = scores(2, 3)
    frame = comparison.frame()
    assert frame.index.names == ["metric", "report"]
    alone = bootstrap_intervals(y_true, second, n_resamples=200, random_state=0)
    pd.testing.assert_frame_equal(frame.xs("strong", level="report")[["value", "low", "high"]], alone.iloc[:, :3])
    paired = compare_predictions(y_true, first, second, n_resamples=200, random_state=0)
    columns = ["difference", "difference_low", "difference_high", "p_value"]
    pd.testing.assert_frame_equal(frame.xs("strong", level="report")[columns], paired[columns])
    assert frame.xs("weak", level="report").iloc[:, 3:].isna().all(axis=None)


def test_a_name_that_occurs_twice_is_numbered(comparison):
    assert comparison.names == ["weak", "strong", "weak (2)"]
    taken = compare_reports([report(1, 1, name) for name in ("x", "x (2)", "x")], n_resamples=2)
    assert taken.names == ["x", "x (2)", "x (3)"]


def test_agreement_by_hand():
    reports = [
        ClassifierReport.from_predictions(list("aaaabb"), y_pred=list(predicted), name=predicted)
        for predicted in ("aaabba", "abbbbb")
    ]
    agreement = compare_reports(reports, n_resamples=2).agreement_frame
    assert agreement.loc["abbbbb"].to_dict() == {
        "both_right": 2, "only_first": 2, "only_this": 1, "both_wrong": 1, "p_value": 1.0,
    }  # fmt: skip


def test_agreement_of_weighted_samples_has_no_p_value():
    reports = [
        ClassifierReport.from_predictions(["a", "b"], y_pred=predicted, sample_weight=[1, 2])
        for predicted in (["a", "a"], ["a", "b"])
    ]
    comparison = compare_reports(reports, n_resamples=2)
    assert np.isnan(comparison.agreement_frame["p_value"].iloc[0])
    assert "McNemar" not in comparison.summary


def test_metrics_of_classes_stand_side_by_side(comparison):
    table = comparison.class_frame("recall")
    assert list(table.columns) == comparison.names
    for name, one in zip(comparison.names, comparison.reports, strict=True):
        pd.testing.assert_series_equal(table[name], one.classification_frame["recall"], check_names=False)


def test_classes_may_stand_in_another_order_and_one_may_know_more():
    y_true, y_score = scores(1, 1)
    other = ClassifierReport.from_predictions(
        y_true, np.column_stack([y_score[:, ::-1], np.zeros(200)]), classes=["c", "b", "a", "d"], top_k=2, name="other"
    )
    comparison = compare_reports([report(1, 1, "first", top_k=2), other], n_resamples=20)
    same = comparison.frame().xs("other", level="report")["difference"]
    np.testing.assert_allclose(same, 0, atol=1e-12)
    table = comparison.class_frame()
    assert list(table.index) == ["a", "b", "c", "d"]
    np.testing.assert_allclose(table["first"].iloc[:3], table["other"].iloc[:3])
    assert np.isnan(table.loc["d", "first"])


def test_summary_names_metrics_that_accuracy_hides():
    # The same classes are predicted, with other probabilities.
    y = np.tile([0, 1], 50)
    sure, unsure = np.where(y, 0.875, 0.125), np.where(y, 0.625, 0.375)
    wrong = np.arange(100) < 10
    a, b = (
        ClassifierReport.from_predictions(y, np.where(wrong, 1 - score, score), name=name)
        for score, name in ((sure, "sure"), (unsure, "unsure"))
    )
    summary = compare_reports([b, a], n_resamples=50).summary
    assert summary.startswith("The accuracies of “sure” and “unsure” do not differ significantly")
    assert summary.endswith("“sure” is better than “unsure” by Log-loss.")
    assert compare_reports([a, b], n_resamples=50).summary.endswith("“sure” is better than “unsure” by Log-loss.")


def test_only_known_metrics_have_a_class_frame(comparison):
    with pytest.raises(ValueError, match=r"metric='sensitivity'; expected one of \('precision', 'recall'"):
        comparison.class_frame("sensitivity")


def test_summary_says_which_is_better(comparison):
    frame = comparison.frame().loc["accuracy"]
    first, better, second = comparison.summary.split(". ")[:3]
    assert first.startswith("“strong” has a higher accuracy than “weak”: ")
    assert f"difference +{frame.loc['strong', 'difference']:.3f} (95\u00a0% interval +" in first
    assert first.endswith("McNemar\u2019s p\u00a0<\u00a00.001)")
    assert better.startswith("“strong” is better than “weak” by ")
    assert second.startswith("The accuracies of “weak (2)” and “weak” do not differ significantly on these samples: ")
    reverse = compare_reports(comparison.reports[1::-1], n_resamples=200)
    assert reverse.summary.startswith("“weak” has a lower accuracy than “strong”")


def test_it_prints_metrics_with_intervals(comparison):
    row = comparison.frame().loc[("accuracy", "strong")]
    line = next(line for line in repr(comparison).splitlines() if line.startswith("Accuracy"))
    assert f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})" in line
    assert f"+{row['difference']:.3f} (+{row['difference_low']:.3f} to +{row['difference_high']:.3f})" in line


def test_long_names_that_shorten_alike_keep_a_column_each():
    names = [f"a long name, {'x' * 40} {number} {'x' * 40}" for number in range(2)]
    printed = repr(compare_reports([report(number, 1, names[number]) for number in range(2)], n_resamples=2))
    header = printed.splitlines()[2]
    assert header.count("…") == 2
    assert "(2)" in header


def test_plot_shows_each_difference(comparison):
    ax = comparison.plot().ax_
    ticks = [label.get_text() for label in ax.get_yticklabels()]
    assert ticks == [
        f"{x} (reversed)" if x == "Log-loss" else x for x in comparison.reports[0].headline_labels.values()
    ]
    dots = np.concatenate([dots.get_offsets() for dots in ax.collections])
    expected = comparison.frame()["difference"].dropna()
    signs = np.where(expected.index.get_level_values("metric") == "log_loss", -1, 1)
    np.testing.assert_allclose(dots[:, 0], signs * expected)
    assert comparison.plot() is comparison
    comparison.figure_.draw_without_rendering()


def test_metrics_that_are_not_defined_are_left_out_of_the_image():
    reports = [ClassifierReport.from_predictions(["a", "b"] * 9, y_pred=["a", x] * 9) for x in "ab"]
    comparison = compare_reports(reports, n_resamples=5)
    ax = comparison.plot().ax_
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Accuracy", "Balanced accuracy", "Macro F1"]
    assert comparison.frame().loc["log_loss"].isna().all(axis=None)


def test_reports_of_other_samples_are_refused():
    first = ClassifierReport.from_predictions(["a", "b", "b"], y_pred=["a", "b", "b"], name="first")

    def other(**options) -> ClassifierReport:
        given = {"y_true": ["a", "b", "b"], "y_pred": ["a", "b", "b"], **options}
        return ClassifierReport.from_predictions(**given, name="other")

    with pytest.raises(ValueError, match=r"'first' and 'other' cannot be compared. .* 3 and 2 samples"):
        compare_reports([first, other(y_true=["a", "b"], y_pred=["a", "b"])])
    with pytest.raises(ValueError, match=r"true labels differ in 2 rows, first in row 0: 'a' and 'b'"):
        compare_reports([first, other(y_true=["b", "a", "b"])])
    with pytest.raises(ValueError, match="weights of the two models differ"):
        compare_reports([first, other(sample_weight=[1, 1, 2])])
    with pytest.raises(ValueError, match="1 report given; expected two or more"):
        compare_reports([first])


def test_other_top_k_are_refused():
    with pytest.raises(ValueError, match="top_k are 2 and 1; make both with the same"):
        compare_reports([report(1, 1, "first"), report(2, 1, "other", top_k=1)])


def test_equal_labels_of_other_files_are_refused(tmp_path, images):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        for number in range(4):
            Image.fromarray(images[number]).save(tmp_path / folder / f"{number}.png")

    def of(files) -> ClassifierReport:
        return ClassifierReport.from_predictions(["a", "b", "b"], y_pred=["a", "b", "a"], X=files, name="model")

    here = of([tmp_path / "here" / f"{number}.png" for number in (0, 1, 2)])
    compare_reports([here, of([str(tmp_path / "there" / f"{number}.png") for number in (0, 1, 2)])])
    with pytest.raises(ValueError, match=r"Row 2 is the file '2.png' of the one and '3.png' of the other"):
        compare_reports([here, of([tmp_path / "there" / f"{number}.png" for number in (0, 1, 3)])])


def test_images_that_one_alone_has_right(images):
    y_true = list("aaabbb")
    first, second = (
        ClassifierReport.from_predictions(y_true, y_pred=list(predicted), X=images, name=name)
        for name, predicted in (("first", "abbbba"), ("second", "aabbaa"))
    )
    shown = {display.name: display.frame() for display in compare_reports([first, second]).image_displays()}
    assert {name: frame["row"].tolist() for name, frame in shown.items()} == {
        "Correct only by first": [4],
        "Correct only by second": [1],
    }
    # What is told is what the other one said.
    assert shown["Correct only by second"][["true", "predicted"]].to_numpy().tolist() == [["a", "b"]]
    (image,) = compare_reports([first, second]).image_displays()[0].images
    np.testing.assert_array_equal(image, images[4])
    agreed = compare_reports([first, first], n_resamples=2)
    assert agreed.image_displays() == []


def test_reports_without_images_show_none(comparison):
    assert comparison.image_displays() == []


def test_it_is_written_as_a_page(comparison, tmp_path):
    page = comparison.to_html(tmp_path / "comparison.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "weak (2)" in page


@pytest.mark.parametrize("given", [["a.html", "b.html"], {"a": 1, "b": 2}, "ab", report(1, 1.0, "one"), [1, 2]])
def test_what_is_no_list_of_reports_is_refused(given):
    with pytest.raises((TypeError, ValueError), match=r"expected a list of ClassifierReports|1 report given"):
        compare_reports(given)


def test_a_report_compared_with_itself_differs_by_nothing():
    one = report(1, 1.0, "one")
    rows = compare_reports([one, one]).frame().xs("one (2)", level="report")
    assert rows["difference"].dropna().tolist() == [0.0] * rows["value"].count()
    assert rows.loc["accuracy", "p_value"] == 1


def test_names_are_told_apart_whatever_they_are():
    comparison = compare_reports([report(seed, 1.0, name) for seed, name in enumerate(["a", "a", "a (2)"])])
    assert len(set(comparison.names)) == 3
    assert comparison.frame().index.is_unique


def test_what_two_classes_do_not_have_is_left_out(tmp_path):
    reports = [ClassifierReport.from_predictions(["a", "b", "b"], [0.2, 0.8, last], name="one") for last in (0.4, 0.6)]
    comparison = compare_reports(reports, n_resamples=20)
    assert comparison.frame().loc["top_k_accuracy", "value"].isna().all()
    assert "Balanced accuracy" in str(comparison)
    page = comparison.to_html(tmp_path / "comparison.html").read_text("utf-8")
    for shown in (str(comparison), page):
        assert "Top-k" not in shown
        assert "nan (" not in shown
