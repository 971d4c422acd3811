"""Adapters against the matrices written out, and the three ways to tune an image model under every algorithm."""

import copy
import functools
import math

import pytest
import safetensors.torch
import torch
from torch import nn

from tutorial_lib import worlds
from tutorial_lib.algorithms import path_consistency, reward_backprop, reward_weighted_mle, run, soft_ppo
from tutorial_lib.denoisers import UNetDenoiser, lora
from tutorial_lib.policies import WAYS, DenoisingPolicy, ImageControl, RetunedPolicy, record, rollout, tunable
from tutorial_lib.rewards import ink
from tutorial_lib.schedules import NoiseSchedule

from ..oracles import chain, image_chain, images, ring, ring_mixture, seeded, stirred

QUICK = [
    (soft_ppo, dict(iterations=2, n=4)),
    (reward_backprop, dict(iterations=2, n=4, checkpointed=True)),
    (reward_backprop, dict(iterations=2, n=4, last=2)),
    (reward_weighted_mle, dict(iterations=2, n=8, updates=2, batch=8)),
    (reward_weighted_mle, dict(iterations=2, n=8, updates=2, batch=8, denoised=False)),
    (path_consistency, dict(iterations=2, n=8)),
]


@pytest.fixture
def pretrained():
    return image_chain()


@pytest.mark.parametrize("layer", [nn.Linear(6, 5), nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)])
def test_an_adapter_adds_the_product_of_two_thin_matrices(layer):
    tuned = stirred(lora.adapted(nn.Sequential(layer), 2, scale=0.7, generator=seeded(0)))
    found = lora.adapters(tuned)
    (a,), (b,) = ([v for k, v in found.items() if k.endswith(letter)] for letter in ("A", "B"))
    assert a.shape == (2, layer.weight[0].numel()) and b.shape == (len(layer.weight), 2)
    expected = copy.deepcopy(layer)
    with torch.no_grad():
        for i in range(layer.weight[0].numel()):
            for o in range(len(layer.weight)):
                expected.weight[o].view(-1)[i] += 0.7 * sum(b[o, k] * a[k, i] for k in range(2))
    x = torch.randn(2, 6, generator=seeded(1)) if isinstance(layer, nn.Linear) else images(6, 5).view(2, 3, 5, 5)
    torch.testing.assert_close(tuned(x), expected(x))


@pytest.mark.parametrize("layer", [nn.Linear(6, 5), nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1, bias=False)])
def test_a_gate_scales_each_of_the_thin_products(layer):
    tuned = stirred(lora.adapted(nn.Sequential(layer), 2, scale=0.7, features=3, generator=seeded(0)))
    a, b, c = (lora.adapters(tuned)[f"0.{letter}"] for letter in "ABC")
    x = torch.randn(2, 6, generator=seeded(1)) if isinstance(layer, nn.Linear) else images(6, 5).view(2, 3, 5, 5)
    for features in torch.tensor([[1.0, 0.5, -2.0], [0.3, 0.0, 1.0]]):
        expected = copy.deepcopy(layer)
        with torch.no_grad():
            for k in range(2):
                expected.weight += 0.7 * float(c[k] @ features) * torch.outer(b[:, k], a[k]).view_as(layer.weight)
        lora.gate(tuned, features)
        torch.testing.assert_close(tuned(x), expected(x))
        torch.testing.assert_close(lora.merged(tuned)(x), expected(x))


def test_a_gate_is_open_by_the_first_feature_at_the_start():
    tuned = lora.adapted(nn.Sequential(nn.Linear(6, 5)), 2, features=3, generator=seeded(0))
    assert lora.adapters(tuned)["0.C"].tolist() == [[1.0, 0.0, 0.0]] * 2


@pytest.mark.parametrize("layer", [nn.Linear(400, 300), nn.Conv2d(40, 50, 3)])
def test_an_adapter_starts_as_wide_as_its_inputs_allow(layer):
    """A ~ N(0, 1/in), so that A x has the size of x; B = 0, so that nothing has changed yet. In 4 standard errors."""
    found = lora.adapters(lora.adapted(nn.Sequential(layer), 50, generator=seeded(0)))
    a, b = found["0.A"].detach(), found["0.B"].detach()
    inputs, n = layer.weight[0].numel(), a.numel()
    assert abs(a.mean().item()) < 4 / (inputs * n) ** 0.5
    assert a.std().item() * inputs**0.5 == pytest.approx(1, abs=4 / (2 * n) ** 0.5)
    assert not b.any() and b.shape == (len(layer.weight), 50)


def test_the_rank_is_what_limits_the_change():
    tuned = stirred(lora.adapted(nn.Sequential(nn.Linear(20, 20)), 3, generator=seeded(0)))
    change = lora.merged(tuned)[0].get_parameter("weight") - tuned[0].get_parameter("layer.weight")
    assert torch.linalg.matrix_rank(change) == 3
    head = lora.adapted(nn.Sequential(nn.Linear(20, 2)), 3, generator=seeded(0))
    assert sorted(list(p.shape) for p in lora.adapters(head).values()) == [[2, 2], [2, 20]], "no more than full rank"


def test_the_adapters_are_few_and_the_rest_is_frozen():
    denoiser = UNetDenoiser(NoiseSchedule.cosine(50))
    total = sum(p.numel() for p in denoiser.parameters())
    tuned = lora.adapted(denoiser, generator=seeded(0))
    few = [p for p in tuned.parameters() if p.requires_grad]
    assert {id(p) for p in few} == {id(p) for p in lora.adapters(tuned).values()}
    assert sum(p.numel() for p in few) <= 0.1 * total
    assert len(lora.adapters(tuned)) == 2 * sum(isinstance(m, nn.Linear | nn.Conv2d) for m in denoiser.modules())


def test_what_was_merged_is_the_same_function_with_the_pretrained_names(pretrained):
    tuned = stirred(lora.adapted(pretrained.denoiser, generator=seeded(0)))
    plain = lora.merged(tuned)
    assert set(plain.state_dict()) == set(pretrained.denoiser.state_dict())
    torch.testing.assert_close(plain(images(), 2), tuned(images(), 2))
    assert not torch.allclose(plain(images(), 2), pretrained.denoiser(images(), 2), atol=0.01)
    restored = image_chain().denoiser
    restored.load_state_dict(plain.state_dict())
    torch.testing.assert_close(restored(images(), 2), tuned(images(), 2))
    assert lora.adapters(tuned) and not lora.adapters(plain), "merging works on a copy"


def test_the_adapters_alone_restore_the_tuned_model(pretrained):
    tuned = stirred(lora.adapted(pretrained.denoiser, generator=seeded(0)))
    saved = safetensors.torch.save({k: v.detach() for k, v in lora.adapters(tuned).items()})
    other = lora.adapted(pretrained.denoiser, generator=seeded(7))
    lora.load_adapters(other, safetensors.torch.load(saved))
    assert torch.equal(other(images(), 3), tuned(images(), 3))


def test_adapters_of_another_network_are_refused_and_change_nothing(pretrained):
    tuned = lora.adapted(pretrained.denoiser, generator=seeded(0))
    before = {k: v.detach().clone() for k, v in lora.adapters(tuned).items()}
    first = next(iter(before))
    with pytest.raises(ValueError, match=r"expected the \d+ adapter tensors of this network, got 1"):
        lora.load_adapters(tuned, {first: before[first]})
    with pytest.raises(ValueError, match=r"expected .*A of shape \[4, .*\], got \[2, "):
        lora.load_adapters(tuned, lora.adapters(lora.adapted(pretrained.denoiser, 2, generator=seeded(1))))
    assert all(torch.equal(before[k], v) for k, v in lora.adapters(tuned).items())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: lora.adapted(p.denoiser, 0, generator=seeded(0)), "rank must be a whole number ≥ 1, got 0"),
        (lambda p: lora.adapted(p.denoiser, scale=math.nan, generator=seeded(0)), "scale must be a finite number > 0"),
        (lambda p: lora.adapted(nn.SiLU(), generator=seeded(0)), r"nn.Linear or nn.Conv2d layers inside, got SiLU"),
        (
            lambda p: lora.adapted(lora.adapted(p.denoiser, generator=seeded(0)), generator=seeded(0)),
            "has adapters already; merge them first",
        ),
        (
            lambda p: tunable(p, "prefix", generator=seeded(0)),
            "unknown way to tune 'prefix'; known: lora, full, control",
        ),
        (
            lambda p: ImageControl(chain(ring_mixture(), 4), generator=seeded(0)),
            r"expected a policy of grey images \[1, H, W\], got shape \[2\]",
        ),
        (
            lambda p: RetunedPolicy(p, UNetDenoiser(p.schedule, (12, 12))),
            r"expected a denoiser of shape \(1, 8, 8\), got \(1, 12, 12\)",
        ),
        (
            lambda p: RetunedPolicy(p, UNetDenoiser(NoiseSchedule.linear(4))),
            r"expected a denoiser made for the policy's schedule \(T = 4\), got one for another \(T = 4\)",
        ),
        (
            lambda p: DenoisingPolicy(p.denoiser, NoiseSchedule.cosine(9)),
            r"policy's schedule \(T = 9\), got one for another \(T = 4\)",
        ),
        (lambda p: p.mean(images().double(), 2), "x_t must be of type torch.float32, as the weights are, got"),
    ],
)
def test_bad_settings_are_told_so(call, message, pretrained):
    with pytest.raises(ValueError, match=message):
        call(pretrained)


@pytest.mark.parametrize("how", WAYS)
def test_it_begins_as_the_pretrained_policy(how, pretrained):
    policy, t = tunable(pretrained, how, generator=seeded(0)), torch.tensor([1, 2, 3, 4, 4])
    assert not policy.shift(images(), t).any() and not policy.kl(images(), 2).any()
    path, other = (rollout(p, 6, generator=seeded(3)) for p in (policy, pretrained))
    assert torch.equal(path.x, other.x) and not policy.log_ratio(path).any()


@pytest.mark.parametrize("how", WAYS)
def test_shift_mean_and_ratio_agree_once_it_has_moved(how, pretrained):
    policy = stirred(tunable(pretrained, how, generator=seeded(0)))
    path = rollout(policy, 6, generator=seeded(3))
    with torch.no_grad():
        for t in range(1, 5):
            x = path.x[t]
            moved = (policy.mean(x, t) - pretrained.mean(x, t)) / policy.sigma(t)
            torch.testing.assert_close(policy.shift(x, t), moved, atol=2e-5, rtol=1e-4)
            torch.testing.assert_close(policy.kl(x, t), moved.flatten(1).square().sum(1) / 2, atol=1e-4, rtol=1e-4)
        ratio = policy.log_prob(path) - pretrained.log_prob(path)
    assert policy.kl(path.x[2], 2).min() > 1e-3
    torch.testing.assert_close(policy.log_ratio(path), ratio, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(("algorithm", "options"), QUICK, ids=lambda v: getattr(v, "__name__", ""))
def test_every_algorithm_tunes_every_way(how, algorithm, options, pretrained):
    """What may be tuned moves, what is frozen stays, and the pretrained policy is untouched to the last bit."""
    frozen = [p.clone() for p in pretrained.parameters()]
    policy = tunable(pretrained, how, generator=seeded(0))
    before = {k: (p.detach().clone(), p.requires_grad) for k, p in policy.named_parameters()}
    history = run(algorithm.fine_tune(policy, ink, alpha=0.02, generator=seeded(1), learning_rate=1e-3, **options))
    assert history[0].kl == 0 < history[-1].kl and all(math.isfinite(step.loss) for step in history)
    moved = {k: not torch.equal(before[k][0], p) for k, p in policy.named_parameters()}
    assert any(moved.values()) and not any(moved[k] for k in moved if not before[k][1])
    assert all(torch.equal(a, b) for a, b in zip(frozen, pretrained.parameters(), strict=True))


@functools.cache
def digits_before():
    """What the pretrained digits policy makes of the noise that the test below looks at."""
    return rollout(worlds.digits().pretrained, 32, generator=seeded(2)).x_0


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("algorithm", [soft_ppo, reward_backprop, path_consistency], ids=lambda v: v.__name__)
def test_the_default_learning_rate_suits_every_way(how, algorithm):
    """On the shipped digits the reward rises, under the same noise as before, by more than 4 standard errors. At the
    rates for points four iterations cost a full copy 200 nats and more, others 1 to 5. Reward-weighted MLE is left out:
    adapters and copies lose by it at this rate, too (06_1 says why)."""
    world = worlds.digits()
    policy = tunable(world.pretrained, how, generator=seeded(0))
    options = dict(iterations=4, n=16) | (dict(last=10) if algorithm is reward_backprop else {})
    run(algorithm.fine_tune(policy, world.reward, alpha=world.alpha, generator=seeded(1), **options))
    path = record(policy, 32, generator=seeded(2))
    up = world.reward(path.x_0) - world.reward(digits_before())
    assert 0 < path.kl().mean() < 2 and up.mean() > 4 * up.std() / 32**0.5


@pytest.mark.parametrize("training", [True, False])
def test_attention_reads_the_weights_off_its_adapted_layers(training):
    """PyTorch's transformer reads `.weight` of its layers; adapted ones must say W + s B A there as well."""
    plain = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).train(training)
    x = torch.randn(3, 5, 8, generator=seeded(1))
    tuned = lora.adapted(plain, 2, generator=seeded(0))
    torch.testing.assert_close(tuned(x), plain(x))
    stirred(tuned)
    with torch.no_grad():
        assert (tuned(x) - plain(x)).abs().max() > 1e-2
        torch.testing.assert_close(tuned(x), lora.merged(tuned)(x))


def test_a_layer_that_is_used_twice_has_one_adapter():
    layer = nn.Linear(4, 4)
    tuned = stirred(lora.adapted(nn.Sequential(layer, nn.SiLU(), layer), 2, generator=seeded(0)))
    assert tuned[0] is tuned[2] and len(lora.adapters(tuned)) == 2
    x = torch.randn(3, 4, generator=seeded(1))
    torch.testing.assert_close(lora.merged(tuned)(x), tuned(x))


@pytest.mark.parametrize("features", [0, 2])
def test_a_grouped_convolution_is_adapted_too(features):
    grouped = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2))
    tuned = stirred(lora.adapted(grouped, 2, features=features, generator=seeded(0)))
    x = torch.randn(1, 4, 5, 5, generator=seeded(1))
    if features:
        lora.gate(tuned, torch.ones(2))
    torch.testing.assert_close(lora.merged(tuned)(x), tuned(x))
    assert (tuned(x) - grouped(x)).abs().max() > 1e-2


def test_without_a_word_points_get_a_control_and_images_adapters(pretrained):
    points = tunable(ring(4), generator=seeded(0))
    named = tunable(ring(4), "control", generator=seeded(0))
    assert points.state_dict().keys() == named.state_dict().keys() and points.pace == named.pace == 1
    assert lora.adapters(tunable(pretrained, generator=seeded(0)).get_submodule("denoiser"))
    paces = {how: tunable(pretrained, how, generator=seeded(0)).pace for how in WAYS}
    assert paces == dict(lora=0.2, full=0.01, control=0.2)


def test_only_the_generator_makes_the_weights(pretrained):
    for how in ("lora", "control"):
        state = torch.get_rng_state()
        a, b, other = (tunable(pretrained, how, generator=seeded(s)).state_dict() for s in (0, 0, 1))
        assert torch.equal(state, torch.get_rng_state())
        assert all(torch.equal(a[k], b[k]) for k in a) and not all(torch.equal(a[k], other[k]) for k in a)


def test_reward_weighted_mle_learns_from_the_last_means_of_images_unless_told(pretrained, monkeypatch):
    """Every x_0 as it is, or the policy's own mean of it given x_1."""
    drawn, learned = rollout(pretrained, 6, generator=seeded(1)), []

    def spy(policy, x_0, *rest):
        learned.append(x_0)
        return loss(policy, x_0, *rest)

    loss = reward_weighted_mle.loss
    monkeypatch.setattr(reward_weighted_mle, "loss", spy)
    options: dict = dict(alpha=1.0, iterations=1, n=6, updates=1, batch=32)
    for told, expected in ((dict(denoised=False), drawn.x_0), ({}, pretrained.mean(drawn.x[1], 1))):
        policy = tunable(pretrained, generator=seeded(0))
        run(reward_weighted_mle.fine_tune(policy, ink, generator=seeded(1), **(options | told)))
        gap = (learned.pop()[:, None] - expected).abs().amax((2, 3, 4)).amin(1)
        assert gap.max() < 1e-4
    assert (drawn.x_0 - pretrained.mean(drawn.x[1], 1)).abs().max() > 0.01
