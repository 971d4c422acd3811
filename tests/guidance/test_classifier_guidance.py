"""Classifier guidance (§8): value-weighted sampling of log p(y|x̂_0) at α = 1, by autograd by hand."""

import math

import pytest
import torch

from tutorial_lib.guidance.classifier_free import given
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.guidance.values import Tweedie
from tutorial_lib.policies import rollout
from tutorial_lib.rewards import ImageClassifier, log_probability

from ..oracles import chain, image_chain, images, ring_mixture, seeded


@pytest.fixture(scope="module")
def reader():
    torch.manual_seed(1)
    return ImageClassifier(classes=3, channels=8).requires_grad_(False)


def guided(pretrained, reader, label, **options):
    value = Tweedie(pretrained, log_probability(reader, label))
    return ValueWeightedPolicy(pretrained, value, **{"alpha": 1.0, **options})


def test_no_strength_is_the_pretrained_model(reader):
    pretrained = image_chain()
    path = rollout(guided(pretrained, reader, 1, strength=0.0), 4, generator=seeded(0))
    assert torch.equal(path.x, rollout(pretrained, 4, generator=seeded(0)).x)


@pytest.mark.parametrize("t", [1, 3])
@pytest.mark.parametrize("strength", [1.0, 2.5])
def test_the_shift_is_the_gradient_at_the_mean_one_step_ahead(reader, t, strength):
    pretrained, x = image_chain(), images(4)
    schedule = pretrained.schedule
    rho = schedule.posterior_mean(pretrained.denoiser(x, t), x, t).requires_grad_()
    clean = rho if t == 1 else pretrained.denoiser(rho, t - 1)
    logits = reader(clean)
    (slope,) = torch.autograd.grad((logits[:, 2] - logits.exp().sum(1).log()).sum(), rho)
    policy = guided(pretrained, reader, 2, strength=strength)
    assert torch.allclose(policy.shift(x, t), strength * schedule.sigma[t] * slope, atol=1e-6)
    assert torch.allclose(policy.mean(x, t), rho + strength * schedule.sigma[t] ** 2 * slope, atol=1e-6)


def test_a_batch_of_times_is_each_of_them_alone(reader):
    policy, x, t = guided(image_chain(), reader, 0, strength=1.7), images(4), torch.tensor([1, 4, 2, 1])
    alone = torch.cat([policy.mean(x[i : i + 1], int(t[i])) for i in range(4)])
    assert torch.allclose(policy.mean(x, t), alone, atol=1e-5)


def test_the_strength_is_one_over_alpha(reader):
    pretrained, x = image_chain(), images(4)
    strong, cold = guided(pretrained, reader, 0, strength=1.7), guided(pretrained, reader, 0, alpha=1 / 1.7)
    assert torch.allclose(strong.mean(x, 2), cold.mean(x, 2), atol=1e-5)
    assert not torch.allclose(strong.mean(x, 2), guided(pretrained, reader, 0).mean(x, 2), atol=1e-5)


def test_a_gradient_that_is_not_finite_is_not_followed():
    """Logits with √|x|: finite everywhere, and without a slope at a pixel of exactly 0."""

    class Rooted(ImageClassifier):
        def forward(self, x):
            return super().forward(x) + (x - x.detach()).abs().sqrt().flatten(1).sum(1, keepdim=True) * torch.eye(3)[0]

    torch.manual_seed(1)
    policy = guided(image_chain(), Rooted(classes=3, channels=8), 1)
    with pytest.raises(ValueError, match=r"value\.grad must be finite, got NaN or infinity in 100\.0% of it"):
        rollout(policy, 2, generator=seeded(0))


@pytest.mark.parametrize("label", [3, -1, 0.5])
def test_a_class_that_is_none_is_refused(reader, label):
    with pytest.raises(ValueError, match=r"label must be a whole number in 0\.\.2"):
        log_probability(reader, label)
    with pytest.raises(ValueError, match="one of the network's 3 classes"):
        given(image_chain(), label)


@pytest.mark.parametrize("strength", [-1.0, math.inf, math.nan])
def test_a_bad_strength_is_refused(reader, strength):
    with pytest.raises(ValueError, match="strength must be a finite number ≥ 0"):
        guided(image_chain(), reader, 0, strength=strength)


def test_the_conditional_chain_is_the_network_told_the_label():
    pretrained, x = image_chain(), images(4)
    for label in (0, 2):
        told = pretrained.denoiser(x, 2, torch.full((4,), label))
        assert torch.equal(given(pretrained, label).denoiser(x, 2), told)
    with pytest.raises(ValueError, match="one of the network's 0 classes"):
        given(chain(ring_mixture(), 5), 0)
