"""Grad-CAM of segmenters and embeddings."""

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.frozen import FrozenEstimator
from toy import TOY, build_toy

import skcnn
from skcnn.backbones import scale_pixels
from skcnn.cli import main
from skcnn.inspection import GradCAMDisplay, check_explainable
from skcnn.inspection._explainable import scored_network
from skcnn.inspection._grad_cam import enlarged, grad_cam
from skcnn.inspection._scored_network import FeatureMap
from skcnn.metric_learning import FaceVerifier, TripletEmbedding, trained_embedding
from skcnn.segmentation import CNNSegmenter, trained_maps


@pytest.fixture(scope="module")
def scenes():
    """Twelve images (12, 32, 48, 3) with a red rectangle left or a blue one right, and masks: 0, 1 red, 2 blue."""
    generator = np.random.default_rng(0)
    X = generator.integers(0, 40, (12, 32, 48, 3)).astype(np.uint8)
    y = np.zeros(X.shape[:3], np.uint8)
    for number, (image, mask) in enumerate(zip(X, y, strict=True)):
        left = 2 if number % 2 else 30
        image[8:24, left : left + 14] = [230, 40, 40] if number % 2 else [40, 40, 230]
        mask[8:24, left : left + 14] = 1 if number % 2 else 2
    return X, y


@pytest.fixture(scope="module")
def segmenter(scenes):
    given = {"image_size": (32, 48), "n_channels": 32, "head_learning_rate": 0.01, "batch_size": 4, "random_state": 0}
    return CNNSegmenter(build_toy(weights="toy", input_shape=(32, 48, 3)), head_epochs=15, **given).fit(*scenes)


@pytest.fixture(scope="module")
def people():
    """Twenty-four images (24, 16, 16, 3) of six identities, each of one colour."""
    generator = np.random.default_rng(0)
    colors = generator.integers(0, 200, (6, 1, 1, 3))
    y = np.repeat(np.arange(6), 4)
    return (colors[y] + generator.integers(0, 55, (24, 16, 16, 3))).astype(np.uint8), y


@pytest.fixture(scope="module")
def embedding(people):
    return TripletEmbedding(
        build_toy(weights="toy"), n_components=4, head_epochs=1, epochs=0, identities_per_batch=6,
        images_per_identity=4, random_state=0,
    ).fit(*people)  # fmt: skip


def test_parts_of_a_segmenter_are_its_model(segmenter, scenes):
    parts = trained_maps(segmenter)
    pixels = scale_pixels(scenes[0][:2], parts.backbone.preprocessing)
    maps = keras.Model(parts.network.inputs, parts.maps).predict_on_batch(pixels)
    expected = segmenter.model_.predict(scenes[0][:2].astype("float32"), verbose=0)
    np.testing.assert_allclose(parts.head.predict_on_batch(maps), expected, atol=1e-4)


def test_score_of_a_mask_is_the_mean_logit_of_its_pixels(segmenter, scenes):
    X, _ = scenes
    display = GradCAMDisplay.from_estimator(segmenter, X[:4])
    assert display.frame()["target"].tolist() == [2, 1, 2, 1]  # the largest region beside the first class
    logits = segmenter.model_.predict(X[:4].astype("float32"), verbose=0)
    expected = [
        logit[..., label][logit.argmax(axis=-1) == label].mean()
        for logit, label in zip(logits, [2, 1, 2, 1], strict=True)
    ]
    np.testing.assert_allclose(display.frame()["score"], expected, rtol=1e-4)
    assert display.layer == "output"  # what the last map of a given network is called
    assert display.heatmaps.shape == (4, 32, 48)


def test_gradients_of_a_mask_are_those_of_small_steps(segmenter, scenes):
    X, _ = scenes
    scored = scored_network(segmenter)
    wanted = scored.wanted(segmenter, X[:2], X[:2], target=[2, 1], reference=None)
    feature_map = FeatureMap(scored, "edges")
    maps, gradients, scores = feature_map.look(X[:2], wanted.numbers)
    parts = trained_maps(segmenter)
    later = keras.Model(parts.network.get_layer("edges").output, parts.maps)

    def logits_of(maps):
        return parts.head.predict_on_batch(later.predict_on_batch(maps)).astype(float)

    before = logits_of(maps).argmax(axis=-1)
    regions = [before[row] == label for row, label in enumerate((2, 1))]

    def score(maps):
        logits = logits_of(maps)
        return np.array([logits[row, ..., label][regions[row]].mean() for row, label in enumerate((2, 1))])

    np.testing.assert_allclose(scores, score(maps), rtol=1e-4)
    generator = np.random.default_rng(1)
    for _ in range(3):
        step = (0.002 * generator.normal(size=maps.shape)).astype("float32")
        slope = (score(maps + step) - score(maps - step)) / 2
        np.testing.assert_allclose((gradients * step).sum(axis=(1, 2, 3)), slope, rtol=0.1, atol=3e-4)
    display = GradCAMDisplay.from_estimator(segmenter, X[:2], target=[2, 1], layer="edges")
    np.testing.assert_allclose(display.heatmaps, enlarged(grad_cam(maps, gradients), (32, 48)), atol=1e-5)


def test_a_class_without_pixels_has_no_heat(segmenter, scenes):
    display = GradCAMDisplay.from_estimator(segmenter, scenes[0][:1], target=1)  # there is class 2 alone
    assert (segmenter.predict(scenes[0][:1])[0] != 1).all()
    assert display.frame()[["score", "peak"]].to_numpy().tolist() == [[0, 0]]
    assert not display.heatmaps.any()


def test_score_of_an_embedding_is_the_cosine(embedding, people, tmp_path):
    X, _ = people
    vectors = embedding.transform(X)
    Image.fromarray(X[5]).save(tmp_path / "5.png")
    for reference, row in ((X[5], 5), (vectors[5], 5), (str(tmp_path / "5.png"), 5), (Image.fromarray(X[0]), 0)):
        display = GradCAMDisplay.from_estimator(embedding, X[:3], reference=reference)
        np.testing.assert_allclose(display.frame()["score"], vectors[:3] @ vectors[row], atol=1e-4)
    assert display.frame()["target"].tolist() == ["reference 0"] * 3
    each = GradCAMDisplay.from_estimator(embedding, X[:3], reference=X[3:6])
    np.testing.assert_allclose(each.frame()["score"], np.sum(vectors[:3] * vectors[3:6], axis=1), atol=1e-4)
    assert each.frame()["target"].tolist() == ["reference 0", "reference 1", "reference 2"]
    named = GradCAMDisplay.from_estimator(embedding, X[:1], reference=[str(tmp_path / "5.png")])
    assert named.frame()["target"].tolist() == [str(tmp_path / "5.png")]


def test_gradients_of_a_similarity_are_those_of_the_equations(embedding, people):
    X, _ = people
    reference = embedding.transform(X[20:21])[0].astype(float)
    scored = scored_network(embedding)
    maps, gradients, _ = FeatureMap(scored, None).look(X[:2], np.float32([reference, reference]))
    kernel, bias = trained_embedding(embedding).head
    v = maps.mean(axis=(1, 2)) @ kernel + bias  # before it is scaled to length 1
    length = np.linalg.norm(v, axis=1, keepdims=True)
    of_v = (reference - (v @ reference)[:, None] * v / length**2) / length
    expected = (of_v @ kernel.T) / (maps.shape[1] * maps.shape[2])
    np.testing.assert_allclose(gradients, np.broadcast_to(expected[:, None, None], gradients.shape), atol=1e-6)


def test_a_fine_tuned_embedding_is_explained_as_it_is_now(people):
    X, y = people
    tuned = TripletEmbedding(
        TOY, weights="toy", n_components=4, head_epochs=0, epochs=1, unfreeze="all", learning_rate=0.01,
        identities_per_batch=6, images_per_identity=4, random_state=0,
    ).fit(X, y)  # fmt: skip
    vectors = tuned.transform(X[:3])
    display = GradCAMDisplay.from_estimator(tuned, X[:3], reference=vectors[0])
    np.testing.assert_allclose(display.frame()["score"], vectors @ vectors[0], atol=1e-4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "reference is None; expected an image"),
        ({"target": 1}, "target is given for an embedding"),
        ({"reference": np.zeros((2, 4))}, "reference has 2 images; expected one, or 3"),
        ({"reference": np.ones(5)}, "expected vectors of 4 components, or images"),
        ({"reference": np.zeros(4)}, "reference has a vector that is 0"),
    ],
)
def test_references_are_checked(embedding, people, given, message):
    with pytest.raises(ValueError, match=message):
        GradCAMDisplay.from_estimator(embedding, people[0][:3], **given)


def test_what_is_not_of_the_task_is_refused(segmenter, embedding, scenes, people):
    with pytest.raises(ValueError, match="reference is given for a segmenter"):
        GradCAMDisplay.from_estimator(segmenter, scenes[0][:1], reference=scenes[0][1])
    with pytest.raises(ValueError, match="target names 7; the classes are 0, 1, 2"):
        GradCAMDisplay.from_estimator(segmenter, scenes[0][:1], target=7)
    check_explainable(segmenter)
    check_explainable(embedding)
    verifier = FaceVerifier(FrozenEstimator(embedding), threshold=0.5).fit(*people)
    with pytest.raises(TypeError, match=r"The estimator is FaceVerifier\. Accepted: .*TripletEmbedding"):
        check_explainable(verifier)


def test_saved_models_are_explained(segmenter, embedding, scenes, people, tmp_path, capsys):
    skcnn.save(segmenter, tmp_path / "s.skcnn")
    skcnn.save(embedding, tmp_path / "e.skcnn")
    paths = []
    for number, image in enumerate([scenes[0][1], people[0][0], people[0][1]]):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(image).save(paths[-1])
    heat = str(tmp_path / "heat.png")
    assert main(["explain", str(tmp_path / "s.skcnn"), paths[0], "-o", heat, "--label", "1"]) == 0
    path, label, score = capsys.readouterr().out.strip().split("\t")
    assert (path, label) == (paths[0], "1")
    expected = GradCAMDisplay.from_estimator(segmenter, [paths[0]]).frame()["score"][0]
    assert float(score) == pytest.approx(expected, abs=1e-3)
    assert main(["explain", str(tmp_path / "e.skcnn"), paths[1], "-o", heat, "--reference", paths[2]]) == 0
    path, label, score = capsys.readouterr().out.strip().split("\t")
    vectors = embedding.transform(paths[1:])
    assert (path, label) == (paths[1], paths[2])
    assert float(score) == pytest.approx(vectors[0] @ vectors[1], abs=1e-3)
    for command, message in (
        (["s.skcnn", paths[0], "--reference", paths[1]], "needs a model of vectors"),
        (["e.skcnn", paths[1]], "say with --reference which image the similarity is to"),
        (["e.skcnn", paths[1], "--reference", paths[1], "--label", "1"], "--label 1 needs a model of classes"),
    ):
        assert main(["explain", str(tmp_path / command[0]), *command[1:], "-o", heat]) == 1
        assert message in capsys.readouterr().err
