"""The view of guidance on digits: each wall its own method's images, and what the two judges say of them."""

import ipywidgets as ui
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from tutorial_lib import plots, worlds
from tutorial_lib.guidance.classifier_free import ClassifierFreePolicy, given
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.guidance.values import Tweedie
from tutorial_lib.notebooks.s06_digits import guidance_study, guidance_view
from tutorial_lib.policies import glimpse
from tutorial_lib.rewards import log_probability

from ..oracles import seeded


def test_the_judges_know_the_data():
    data, labels = worlds.digit_images()
    found = guidance_study.judged(data[labels == 3], 3)
    assert found.nearest == 1.0 and found.read > 0.97
    assert guidance_study.judged(data[labels == 3], 4).nearest == 0.0


@pytest.mark.parametrize("method", guidance_study.METHODS)
def test_guidance_brings_the_class_from_the_same_noise(method):
    before = guidance_study.answer(guidance_study.NONE, 3, 0.0)
    nothing, guided = (guidance_study.answer(method, 3, strength) for strength in (0.0, 1.5))
    assert torch.allclose(nothing.images, before.images, atol=1e-4)
    assert before.read < 0.4 and guided.read > 0.75 and guided.distance < before.distance


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="unknown method 'magic'; known: no guidance, classifier-free, classifier"):
        guidance_study.policy("magic", 0, 1.0)


def test_the_sliders_move_the_picture_and_the_words():
    box = guidance_view.play()
    controls = {control.description: control for column in box.children[0].children for control in column.children}
    image, text = box.children[1:]
    assert isinstance(image, ui.Image) and isinstance(text, ui.HTML)
    before, said = image.value, text.value
    controls["class y"].value = 3
    assert image.value != before and "reads 3" in text.value and text.value != said


@pytest.mark.parametrize(("strength", "label"), [(1.5, 3), (0.5, 8)])
def test_every_wall_is_its_own_methods(strength, label):
    """Against images drawn apart from the view, by each method's own policy; the view had another setting before."""
    view = guidance_view.GuidanceView()
    view.draw(1.0, 0)
    view.draw(strength, label)
    world, classifier = worlds.digits(), worlds.digit_classifier()
    by_label = ClassifierFreePolicy(world.pretrained, given(world.pretrained, label), strength=strength)
    value = Tweedie(world.pretrained, log_probability(classifier, label))
    by_slope = ValueWeightedPolicy(world.pretrained, value, alpha=1.0, strength=strength)
    guided = [f"{name}: class {label}, γ = {strength:g}" for name in ("Classifier-free", "Classifier")]
    titles = ("Pretrained, unlabelled", *guided)
    for ax, policy, title in zip(view.picture.figure.axes, (world.pretrained, by_label, by_slope), titles, strict=True):
        images = glimpse(policy, 25, steps=12, generator=seeded(0))
        np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), plots.wall(images, columns=5), atol=1e-5)
        assert ax.get_title() == title


def test_a_still_is_the_widgets_picture():
    assert guidance_view.still().data != guidance_view.still(strength=0.0).data
    with pytest.raises(TypeError, match="alpha"):
        guidance_view.still(alpha=1.0)


def test_the_words_have_a_row_for_each_method_in_its_order():
    shares = ((0.1, 0.2), (0.3, 0.4), (0.5, 0.6))
    found = [guidance_study.Guided(torch.zeros(1), read, near, 2.0, 0.1) for read, near in shares]
    text = guidance_view.in_words(found, 7)
    for name, read, near in (("no guidance", 10, 20), ("classifier-free", 30, 40), ("classifier", 50, 60)):
        assert f"<td>{name}</td><td>{read}%</td><td>{near}%</td>" in text


def half_bars(container):
    """Half the length of each error bar of a plot."""
    return [(high[1] - low[1]) / 2 for low, high in container.lines[2][0].get_segments()]


def test_a_sweep_has_every_method_at_every_strength():
    found = guidance_study.sweep(1, (0.0, 2.0), n=4, steps=2)
    assert {name: len(guided) for name, guided in found.items()} == dict.fromkeys(guidance_study.METHODS, 2)
    left, right = guidance_view.show_sweep((0.0, 2.0), found).axes
    for k, (method, guided) in enumerate(found.items()):
        read, near = (container.lines[0] for container in left.containers[2 * k : 2 * k + 2])
        assert list(read.get_ydata()) == pytest.approx([100 * g.read for g in guided])
        assert list(near.get_ydata()) == pytest.approx([100 * g.nearest for g in guided])
        assert read.get_color() == guidance_view.COLORS[method] and read.get_xdata().tolist() == [0.0, 2.0]
        assert list(right.containers[k].lines[0].get_ydata()) == pytest.approx([g.distance for g in guided])
        expected = [200 * (g.read * (1 - g.read) / len(g.images)) ** 0.5 for g in guided]
        assert half_bars(left.containers[2 * k]) == pytest.approx(expected, abs=1e-4)
        assert half_bars(right.containers[k]) == pytest.approx([2 * g.distance_se for g in guided])
    plt.close("all")
