"""Classifier guidance against autograd by hand, a quick look against the whole chain, and the view of guidance."""

import math

import ipywidgets as ui
import pytest
import torch
from tutorial_lib.guidance.classifier import ClassifierPolicy

from tutorial_lib import worlds
from tutorial_lib.guidance import classifier
from tutorial_lib.guidance.classifier_free import ClassifierFreePolicy, given
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.guidance.values import Tweedie
from tutorial_lib.notebooks.s06_digits import guidance_view as digit_guidance
from tutorial_lib.policies import ddim, glimpse, rollout
from tutorial_lib.rewards import ImageClassifier, log_probability

from ..oracles import chain, ring_mixture, seeded
from ..policies.test_tunable import images, untrained


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(1)
    return ImageClassifier(classes=3, channels=8).requires_grad_(False)


def test_no_strength_is_the_pretrained_model(reader):
    pretrained = untrained()
    path = classifier.sample(pretrained, reader, label=1, n=4, strength=0.0, generator=seeded(0))
    assert torch.equal(path.x, rollout(pretrained, 4, generator=seeded(0)).x)


@pytest.mark.parametrize("t", [1, 3])
@pytest.mark.parametrize("strength", [1.0, 2.5])
def test_the_shift_is_the_gradient_at_the_mean_one_step_ahead(reader, t, strength):
    pretrained, x = untrained(), images(4)
    schedule = pretrained.schedule
    rho = schedule.posterior_mean(pretrained.denoiser(x, t), x, t).requires_grad_()
    clean = rho if t == 1 else pretrained.denoiser(rho, t - 1)
    logits = reader(clean)
    (slope,) = torch.autograd.grad((logits[:, 2] - logits.exp().sum(1).log()).sum(), rho)
    policy = ClassifierPolicy(pretrained, reader, label=2, strength=strength)
    assert torch.allclose(policy.shift(x, t), strength * schedule.sigma[t] * slope, atol=1e-6)
    assert torch.allclose(policy.mean(x, t), rho + strength * schedule.sigma[t] ** 2 * slope, atol=1e-6)


def test_a_gradient_that_is_not_finite_is_not_followed():
    """Logits with √|x|: finite everywhere, and without a slope at a pixel of exactly 0."""

    class Rooted(ImageClassifier):
        def forward(self, x):
            return super().forward(x) + (x - x.detach()).abs().sqrt().flatten(1).sum(1, keepdim=True) * torch.eye(3)[0]

    torch.manual_seed(1)
    with pytest.raises(ValueError, match=r"the classifier's gradient must be finite, got NaN or infinity in 100\.0%"):
        classifier.sample(untrained(), Rooted(classes=3, channels=8), label=1, n=2, generator=seeded(0))


def test_it_is_value_weighted_sampling_with_the_log_probability_at_alpha_one(reader):
    pretrained, x, t = untrained(), images(4), torch.tensor([1, 4, 2, 1])
    by_value = ValueWeightedPolicy(pretrained, Tweedie(pretrained, log_probability(reader, 0)), alpha=1.0, strength=1.7)
    by_class = ClassifierPolicy(pretrained, reader, label=0, strength=1.7)
    assert torch.allclose(by_class.mean(x, t), by_value.mean(x, t), atol=1e-5)
    at_half = ValueWeightedPolicy(pretrained, by_value.value, alpha=1 / 1.7)
    assert torch.allclose(by_class.mean(x, t), at_half.mean(x, t), atol=1e-5), "strength is 1/α"


@pytest.mark.parametrize("label", [3, -1, 0.5])
def test_a_class_that_is_none_is_refused(reader, label):
    with pytest.raises(ValueError, match=r"label must be a whole number in 0\.\.2"):
        ClassifierPolicy(untrained(), reader, label=label)
    with pytest.raises(ValueError, match="one of the network's 3 classes"):
        given(untrained(), label)


@pytest.mark.parametrize("strength", [-1.0, math.inf, math.nan])
def test_a_bad_strength_is_refused(reader, strength):
    with pytest.raises(ValueError, match="strength must be a finite number ≥ 0"):
        ClassifierPolicy(untrained(), reader, label=0, strength=strength)


def test_the_conditional_chain_is_the_network_told_the_label():
    pretrained, x = untrained(), images(4)
    for label in (0, 2):
        told = pretrained.denoiser(x, 2, torch.full((4,), label))
        assert torch.equal(given(pretrained, label).denoiser(x, 2), told)
    with pytest.raises(ValueError, match="one of the network's 0 classes"):
        given(chain(ring_mixture(), 5), 0)


@pytest.mark.parametrize("pretrained", [untrained(), chain(ring_mixture(), 20)], ids=["images", "ring"])
def test_a_glimpse_of_every_step_is_ddim(pretrained):
    whole = ddim(pretrained, 6, generator=seeded(0)).x_0
    looked = glimpse(pretrained, 6, steps=pretrained.schedule.T, generator=seeded(0))
    assert torch.allclose(looked, whole, atol=1e-3)


def test_a_glimpse_of_a_policy_sees_what_steers_it(reader):
    pretrained = untrained()
    conditional = given(pretrained, 1)
    guided = ClassifierFreePolicy(pretrained, conditional, strength=1.0)
    first, second = (glimpse(p, 5, steps=3, generator=seeded(0)) for p in (guided, conditional))
    assert torch.allclose(first, second, atol=1e-3)
    assert not torch.allclose(first, glimpse(pretrained, 5, steps=3, generator=seeded(0)), atol=1e-2)


@pytest.mark.parametrize("steps", [0, 5, 2.5])
def test_a_glimpse_has_between_one_and_all_of_the_steps(steps):
    with pytest.raises(ValueError, match="steps must"):
        glimpse(untrained(T=4), 2, steps=steps, generator=seeded(0))


def test_a_few_steps_draw_as_much_ink_as_fifty():
    world = worlds.digits()
    few = world.reward(glimpse(world.pretrained, 200, generator=seeded(0)))
    all_of_them = world.reward(rollout(world.pretrained, 200, generator=seeded(1)).x_0)
    error = (few.var() + all_of_them.var()).sqrt() / 200**0.5
    assert abs(few.mean() - all_of_them.mean()) < 4 * error


def test_the_judges_know_the_data():
    data, labels = worlds.digit_images()
    found = digit_guidance.judged(data[labels == 3], 3)
    assert found.nearest == 1.0 and found.read > 0.97
    assert digit_guidance.judged(data[labels == 3], 4).nearest == 0.0


@pytest.mark.parametrize("method", digit_guidance.METHODS)
def test_guidance_brings_the_class_from_the_same_noise(method):
    before = digit_guidance.answer(digit_guidance.NONE, 3, 0.0)
    nothing, guided = (digit_guidance.answer(method, 3, strength) for strength in (0.0, 1.5))
    assert torch.allclose(nothing.images, before.images, atol=1e-4)
    assert before.read < 0.4 and guided.read > 0.75 and guided.distance < before.distance


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="unknown method 'magic'; known: no guidance, classifier-free, classifier"):
        digit_guidance.policy("magic", 0, 1.0)


def test_the_sliders_move_the_picture_and_the_words():
    box = digit_guidance.explore(label=8, strength=1.0)
    controls = {control.description: control for column in box.children[0].children for control in column.children}
    image, text = box.children[1:]
    assert isinstance(image, ui.Image) and isinstance(text, ui.HTML)
    before, said = image.value, text.value
    controls["class y"].value = 3
    assert image.value != before and "reads 3" in text.value and text.value != said


def test_a_sweep_has_every_method_at_every_strength():
    found = digit_guidance.sweep(1, (0.0, 2.0), n=4, steps=2)
    assert {name: len(guided) for name, guided in found.items()} == dict.fromkeys(digit_guidance.METHODS, 2)
    assert digit_guidance.show_sweep((0.0, 2.0), found).axes[0].get_xlabel() == "guidance strength γ"
