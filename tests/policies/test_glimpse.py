"""A quick look at a policy: DDIM that visits a few levels, with whatever steers the policy in it."""

import pytest
import torch

from tutorial_lib import worlds
from tutorial_lib.guidance.classifier_free import ClassifierFreePolicy, given
from tutorial_lib.policies import ddim, glimpse, rollout

from ..oracles import chain, image_chain, ring_mixture, seeded


@pytest.mark.parametrize("pretrained", [image_chain(), chain(ring_mixture(), 20)], ids=["images", "ring"])
def test_a_glimpse_of_every_step_is_ddim(pretrained):
    whole = ddim(pretrained, 6, generator=seeded(0)).x_0
    looked = glimpse(pretrained, 6, steps=pretrained.schedule.T, generator=seeded(0))
    assert torch.allclose(looked, whole, atol=1e-3)


def test_a_glimpse_of_one_step_is_the_denoiser_s_guess():
    pretrained = chain(ring_mixture(), 20)
    x_T = torch.randn(6, 2, generator=seeded(3))
    looked = glimpse(pretrained, 6, steps=1, generator=seeded(3))
    assert torch.allclose(looked, pretrained.denoiser(x_T, 20), atol=1e-3)


def test_a_glimpse_of_a_policy_sees_what_steers_it():
    pretrained = image_chain()
    conditional = given(pretrained, 1)
    guided = ClassifierFreePolicy(pretrained, conditional, strength=1.0)
    first, second = (glimpse(p, 5, steps=3, generator=seeded(0)) for p in (guided, conditional))
    assert torch.allclose(first, second, atol=1e-3)
    assert not torch.allclose(first, glimpse(pretrained, 5, steps=3, generator=seeded(0)), atol=1e-2)


@pytest.mark.parametrize("steps", [0, 5, 2.5])
def test_a_glimpse_has_between_one_and_all_of_the_steps(steps):
    with pytest.raises(ValueError, match="steps must"):
        glimpse(image_chain(T=4), 2, steps=steps, generator=seeded(0))


def test_a_few_steps_draw_as_much_ink_as_fifty():
    world = worlds.digits()
    few = world.reward(glimpse(world.pretrained, 200, generator=seeded(0)))
    all_of_them = world.reward(rollout(world.pretrained, 200, generator=seeded(1)).x_0)
    error = (few.var() + all_of_them.var()).sqrt() / 200**0.5
    assert abs(few.mean() - all_of_them.mean()) < 4 * error
