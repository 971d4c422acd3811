"""Every world is whole: it samples, its rewards answer, its extent holds the paths, its policy draws its data."""

import subprocess
import sys

import pytest
import torch

from tutorial_lib import assets, worlds
from tutorial_lib.exact import Frontier, SoftValues
from tutorial_lib.metrics import evaluate
from tutorial_lib.policies import rollout
from tutorial_lib.rewards import query
from tutorial_lib.worlds import described, digits_rewards

POINTS = [name for name in worlds.NAMES if name != "digits"]
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")],
    ),
]


def generator(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", worlds.NAMES)
def test_a_world_samples_on_its_device(name, device):
    world = worlds.make(name, device=device)
    shape = world.pretrained.shape
    path = rollout(world.pretrained, 50, generator=generator(device=device))
    data = world.data(30, generator=generator(1, device))
    assert path.x.shape == (world.schedule.T + 1, 50, *shape) and data.shape == (30, *shape)
    assert path.x.device.type == data.device.type == device
    assert torch.isfinite(path.x).all() and torch.isfinite(data).all()
    assert len(world.rewards) >= 3 and world.reward is next(iter(world.rewards.values()))
    for key, reward in world.rewards.items():
        assert query(reward, path.x_0).shape == (50,) and reward.__name__ == key and world.alphas[key] > 0
    assert torch.equal(data, world.data(30, generator=generator(1, device)))


@pytest.mark.parametrize("name", POINTS)
def test_the_extent_holds_the_world_under_every_reward(name):
    world = worlds.make(name)
    for key in world.rewards:
        chosen = world.with_reward(key)
        assert chosen.reward is world.rewards[key] and chosen.alpha == world.alphas[key]
        assert chosen.extent is not None
        soft = SoftValues(chosen.pretrained, chosen.reward, alpha=chosen.alpha, extent=chosen.extent)
        assert soft.pretrained_objective < soft.optimum


@pytest.mark.parametrize("name", POINTS)
def test_the_pretrained_policy_draws_the_data(name):
    """Mean, spread and the share near a data point; two_moons and spiral have gaps to keep free."""
    world = worlds.make(name)
    drawn = rollout(world.pretrained, 4000, generator=generator(1)).x_0
    data = world.data(4000, generator=generator(2))
    torch.testing.assert_close(drawn.mean(0), data.mean(0), atol=0.12, rtol=0)
    torch.testing.assert_close(drawn.std(0), data.std(0), atol=0.08, rtol=0)
    far = (torch.cdist(drawn, data).amin(1) > 0.3).float().mean().item()
    assert far < 0.01


def test_the_checkerboard_is_crisp():
    cell = (rollout(worlds.checkerboard().pretrained, 4000, generator=generator()).x_0 / 1.2 + 2).floor()
    dark = ((cell >= 0) & (cell < 4)).all(1) & (cell.sum(1) % 2 == 0)
    assert dark.float().mean() > 0.9
    data = worlds.checkerboard().data(4000, generator=generator()) / 1.2 + 2
    assert (data.floor().sum(1) % 2 == 0).all()


def test_ring_and_grid_run_at_any_T():
    for make in (worlds.ring, worlds.grid):
        assert make(T=7).schedule.T == 7 and make().schedule.T == 50
        assert make().mixture is not None


def test_the_ring_is_the_default_of_the_claims():
    ring = worlds.ring()
    assert ring.alpha == 0.5 and ring.extent == 5.0
    x = torch.tensor([[2.0, 0.5], [0.0, 0.0]])
    assert ring.reward(x).tolist() == pytest.approx([0.0, -4.25])
    assert ring.mixture is not None and len(ring.mixture.weights) == 8
    torch.testing.assert_close(ring.mixture.means.norm(dim=1), torch.full((8,), 2.0))
    torch.testing.assert_close(ring.mixture.covariances, 0.09 * torch.eye(2).expand(8, 2, 2))


def test_the_digits_are_real_and_labelled():
    images, labels = worlds.digit_images()
    assert images.shape == (1797, 1, 8, 8) and labels.shape == (1797,)
    assert images.min() == -1 and images.max() == 1 and labels.unique().tolist() == list(range(10))


def test_the_bank_is_drawn_from_the_pretrained_digits():
    """Every pixel's mean agrees with fresh samples within 5 standard errors, and the images differ from each other."""
    bank = worlds.digits_bank()
    assert bank.shape == (16384, 1, 8, 8) and bank.min() >= -1 and bank.max() <= 1
    fresh = rollout(worlds.digits().pretrained, 1000, generator=generator(5)).x_0.clamp(-1, 1)
    error = (fresh.var(0) / 1000 + bank.var(0) / 16384).sqrt() + 2e-3  # and half a grey level
    assert ((fresh.mean(0) - bank.mean(0)).abs() < 5 * error).all()
    assert len(bank.unique(dim=0)) > 16000


def test_the_scored_bank_is_of_the_pretrained_digits_and_their_rewards():
    """Every reward's mean agrees with fresh samples within 5 standard errors, and so do the classes' shares."""
    bank, fresh = digits_rewards(), rollout(worlds.digits().pretrained, 1000, generator=generator(5)).x_0
    assert set(bank) == {*worlds.digits().rewards, "label", "nearest"}
    assert all(values.shape == (65536,) for values in bank.values())
    found = {name: query(reward, fresh) for name, reward in worlds.digits().rewards.items()} | described(fresh)
    for name, values in found.items():
        expected = bank[name].double()
        assert abs(values.double().mean() - expected.mean()) < 5 * expected.std() * (1 / 1000 + 1 / 65536) ** 0.5
    shares = bank["label"].bincount(minlength=10) / 65536
    assert shares.min() > 0.05 and shares.max() < 0.2


def test_at_its_alpha_every_reward_of_the_digits_has_far_to_go_and_a_trusted_optimum():
    """At least 1.5 pretrained standard deviations, with 1000 effective samples or more behind the number."""
    world, bank = worlds.digits(), digits_rewards()
    for name in world.rewards:
        point, values = Frontier(bank[name]).at(world.alphas[name]), bank[name].double()
        assert (point.reward - values.mean()) / values.std() > 1.5 and point.size > 1000
        assert point.objective_se < 0.05 * (point.objective - values.mean())


@pytest.mark.parametrize("name", ["ink", "log_probability"])
def test_a_shipped_tuned_policy_is_better_than_the_pretrained_one_and_no_better_than_the_best(name):
    """The reward rises by a pretrained standard deviation or more, and J lies between J_pre and J* (4 s.e.)."""
    world, bank = worlds.digits().with_reward(name), digits_rewards()[name].double()
    report = evaluate(
        worlds.shipped.digits_at_one_alpha(name), world.reward, alpha=world.alpha, n=192, generator=generator(3)
    )
    best, before = Frontier(bank).at(world.alpha), bank.mean().item()
    assert (report.reward - before) / bank.std().item() > 1
    assert before + 4 * report.objective_se < report.objective < best.objective + 4 * report.objective_se
    recorded = assets.manifest()[f"digits_lora_{name}"]["recipe"]
    assert (
        recorded["alpha"] == world.alpha and abs(report.reward - recorded["measured"]["reward"]) < 5 * report.reward_se
    )


def test_a_label_chooses_the_digit():
    """Most images drawn under a label are nearest to the mean of that class."""
    world, (images, labels) = worlds.digits(), worlds.digit_images()
    means = torch.stack([images[labels == k].mean(0) for k in range(10)]).flatten(1)
    label = torch.arange(10).repeat_interleave(20)
    x = torch.randn(200, 1, 8, 8, generator=generator())
    denoiser = world.pretrained.denoiser
    for t in range(50, 0, -1):
        mean = world.schedule.posterior_mean(denoiser(x, t, label), x, t)
        x = mean + world.schedule.sigma[t] * torch.randn(x.shape, generator=generator(t))
    nearest = torch.cdist(x.flatten(1), means).argmin(1)
    assert (nearest == label).float().mean() > 0.75


def test_unknown_names_list_the_known_ones():
    with pytest.raises(
        ValueError, match="unknown world 'moon'; known: ring, grid, two_moons, spiral, checkerboard, dig"
    ):
        worlds.make("moon")
    with pytest.raises(ValueError, match="unknown reward 'ink' in the world ring; known: peak, half_plane, disc"):
        worlds.ring().with_reward("ink")


def test_scikit_learn_waits_until_the_digits_are_asked_for():
    program = "import sys\nfrom tutorial_lib import worlds\nworlds.digits()\nprint('sklearn' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"
