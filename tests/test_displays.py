"""The Displays have one form: scikit-learn's, with ``frame()`` beside ``plot()``."""

import inspect

import matplotlib.pyplot as plt
import pytest

import skcnn.decomposition
import skcnn.generative
import skcnn.inspection
import skcnn.metrics
import skcnn.model_selection

DISPLAYS = [
    getattr(module, name)
    for module in (skcnn.metrics, skcnn.model_selection, skcnn.inspection, skcnn.decomposition, skcnn.generative)
    for name in module.__all__
    if name.endswith("Display")
]
#: How those are made that cannot be made from predictions, and why.
MADE_OTHERWISE = {
    "TrainingCurveDisplay": {"from_estimator"},  # from a history
    "GradCAMDisplay": {"from_estimator"},  # needs gradients
    "WindowHeatDisplay": {"from_estimator"},  # needs the probabilities of all windows
    "LatentSpaceDisplay": {"from_estimator"},  # nothing is predicted
    "ReconstructionDisplay": {"from_estimator"},
    "GeneratedImagesDisplay": {"from_estimator"},
    "InterpolationDisplay": {"from_estimator"},
    "GenerationHistoryDisplay": {"from_estimator"},
    "FitDiagnosisDisplay": set(),  # from a diagnosis
    "ImageMapDisplay": {"from_estimator", "from_coordinates"},  # nothing is predicted
}
#: What stands before the star; all else is given by name.
BY_PLACE = {
    "from_estimator": ["estimator", "X", "y"],
    "from_predictions": ["y_true", "y_score", "y_pred"],
    "from_coordinates": ["X", "coordinates", "y"],
    "plot": ["self", "ax"],
}


@pytest.mark.parametrize("display", DISPLAYS)
def test_it_has_the_form_of_a_display(display):
    made_by = MADE_OTHERWISE.get(display.__name__, {"from_estimator", "from_predictions"})
    assert {name for name in vars(display) | vars(display.__base__) if name.startswith("from_")} == made_by
    assert list(inspect.signature(display).parameters)[-1] == "name"
    for method in [*made_by, "plot"]:
        parameters = inspect.signature(getattr(display, method)).parameters.values()
        by_place = [parameter.name for parameter in parameters if parameter.kind != parameter.KEYWORD_ONLY]
        assert by_place == [name for name in BY_PLACE[method] if name in by_place] != [], method
        assert inspect.signature(getattr(display, method)).return_annotation == "Self", method
    for method in made_by:
        assert list(inspect.signature(getattr(display, method)).parameters)[-1] == "name", method
    assert inspect.signature(display.plot).parameters["ax"].default is None
    assert callable(display.frame)


def test_a_new_figure_is_pyplots_and_given_axes_are_used():
    display = skcnn.metrics.OneVsRestRocDisplay.from_predictions(["a", "b"], [0.2, 0.8])
    assert display.plot().figure_.number in plt.get_fignums()  # so that plt.show() shows it
    figure, ax = plt.subplots()
    assert display.plot(ax).ax_ is ax
    assert display.figure_ is figure
    assert len(plt.get_fignums()) == 2
