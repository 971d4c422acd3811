"""Bad input, all in one list: a clear error that says what was expected and what came, and nothing is changed."""

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch

from tutorial_lib import assets, worlds
from tutorial_lib.assets import loader
from tutorial_lib.denoisers import ExactDenoiser, convert
from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.exact import Frontier, SoftValues, TiltedDensity, sample_optimal
from tutorial_lib.grids import Grid, Spline
from tutorial_lib.guidance import classifier_free, value_weighted
from tutorial_lib.guidance.classifier_free import ClassifierFreePolicy
from tutorial_lib.guidance.value_weighted import ValueWeightedPolicy
from tutorial_lib.metrics import (
    compare,
    energy_distance,
    entropy,
    evaluate,
    mean_distance,
    mode_shares,
    modes_covered,
    sliced_wasserstein,
)
from tutorial_lib.notebooks.s01_2_why_reinforcement_learning import study as beyond_data
from tutorial_lib.notebooks.s03_denoising_as_an_mdp import study as denoising_mdp
from tutorial_lib.notebooks.s05_2_reward_backpropagation import study as backprop_study
from tutorial_lib.policies import DenoisingPolicy, SteeredPolicy, Trajectory, ddim, rollout
from tutorial_lib.rewards import PolynomialReward, disc, fit_polynomial, half_plane, peak
from tutorial_lib.schedules import NoiseSchedule

from .oracles import RING_EXTENT, RING_REWARD, ring, ring_mixture, seeded


class Flat:
    """A value that is flat, with a gradient of zero."""

    def grad(self, x, t):
        return torch.zeros_like(x)


class Image(torch.nn.Module):
    shape = (1, 8, 8)


def half_nan(x):
    return torch.where(torch.arange(len(x)) % 2 == 0, math.nan, 0.0)


def pairs(x):
    return torch.zeros(len(x), 2)


def number(x):
    return 1.0


@pytest.fixture(scope="module")
def made():
    pretrained = ring(5)
    return SimpleNamespace(
        schedule=pretrained.schedule,
        mixture=ring_mixture(),
        pretrained=pretrained,
        policy=SteeredPolicy(pretrained),
        soft=SoftValues(pretrained, RING_REWARD, alpha=0.5, extent=8.0, grid=81),
        density=TiltedDensity(pretrained, RING_REWARD, extent=RING_EXTENT, grid=61),
        frontier=Frontier(torch.linspace(-1, 1, 9)),
        x=torch.zeros(4, 2),
        image_policy=DenoisingPolicy(Image(), pretrained.schedule),  # type: ignore[arg-type]
        polynomial=PolynomialReward(0.0, torch.ones(2), torch.eye(2), 1.0),
        narrow=GaussianMixture(torch.ones(1), torch.zeros(1, 2), stds=torch.tensor([0.01])),
        generator=seeded(0),
    )


def narrow_chain(m):
    schedule = NoiseSchedule.cosine(50)
    return DenoisingPolicy(ExactDenoiser(m.narrow, schedule), schedule)


def linear_chain():
    schedule = NoiseSchedule.linear(5)
    return DenoisingPolicy(ExactDenoiser(ring_mixture(), schedule), schedule)


def mixture(weights=(0.5, 0.5), covariances=None, **stds):
    covariances = None if covariances is None else torch.tensor(covariances)
    return GaussianMixture(torch.tensor(weights), torch.zeros(2, 2), covariances, **stds)


EYE = [[1.0, 0.0], [0.0, 1.0]]
ALPHA = r"alpha must be a finite number > 0, got {}"
CASES = [
    # α
    *(
        (f"{name}, α = {alpha}", call, ALPHA.format(rf"{alpha}"))
        for alpha in (0, -0.5, math.nan, math.inf)
        for name, call in {
            "SoftValues": lambda m, a=alpha: SoftValues(m.pretrained, RING_REWARD, alpha=a, extent=5.0),
            "TiltedDensity.at": lambda m, a=alpha: m.density.at(a),
            "TiltedDensity.through_time": lambda m, a=alpha: m.density.through_time(a),
            "TiltedDensity.values": lambda m, a=alpha: m.density.values(a),
            "TiltedDensity.sample": lambda m, a=alpha: m.density.sample(a, torch.rand(3, 2)),
            "Frontier": lambda m, a=alpha: m.frontier.at(a),
            "PolynomialReward.tilt": lambda m, a=alpha: m.polynomial.tilt(m.mixture, a),
            "ValueWeightedPolicy": lambda m, a=alpha: ValueWeightedPolicy(m.pretrained, Flat(), alpha=a),
            "value_weighted.sample": lambda m, a=alpha: value_weighted.sample(
                m.pretrained, Flat(), alpha=a, n=3, generator=m.generator
            ),
        }.items()
    ),
    *(
        (
            f"evaluate, α = {alpha}",
            lambda m, a=alpha: evaluate(m.pretrained, RING_REWARD, alpha=a, generator=m.generator),
            rf"alpha must be a finite number ≥ 0, got {alpha}",
        )
        for alpha in (-1, math.nan, math.inf)
    ),
    # guidance strength
    *(
        (
            f"strength = {strength}",
            lambda m, s=strength: ValueWeightedPolicy(m.pretrained, Flat(), alpha=1.0, strength=s),
            rf"strength must be a finite number ≥ 0, got {strength}",
        )
        for strength in (-1.0, math.nan, math.inf)
    ),
    *(
        (
            f"classifier-free strength = {strength}",
            lambda m, s=strength: ClassifierFreePolicy(m.pretrained, m.pretrained, strength=s),
            rf"strength must be a finite number ≥ 0, got {strength}",
        )
        for strength in (-1.0, math.nan, math.inf)
    ),
    (
        "a conditional model of images",
        lambda m: ClassifierFreePolicy(m.pretrained, m.image_policy),
        r"conditional model of shape \(2,\), got \(1, 8, 8\)",
    ),
    (
        "a conditional model of another T",
        lambda m: ClassifierFreePolicy(m.pretrained, ring(6)),
        r"on the same schedule \(T = 5\), got another \(T = 6\)",
    ),
    (
        "a conditional model of another noise",
        lambda m: classifier_free.sample(m.pretrained, linear_chain(), n=3, generator=m.generator),
        r"on the same schedule \(T = 5\), got another \(T = 5\)",
    ),
    ("a cut below the data", lambda m: beyond_data.scene(-20.0), r"cut at -20 keeps 0 points, expected at least 12"),
    (
        "a cubic reward model",
        lambda m: fit_polynomial(m.x, m.x[:, 0], degree=3),
        r"degree must be 1 or 2, got 3",
    ),
    # t
    *(
        (f"{name}, t = {t}", call, rf"t must be a whole number in {least}\.\.5, got {t}")
        for t in (-1, 6, 2.5, math.nan, math.inf, True)
        for name, least, call in [
            ("mean", 1, lambda m, t=t: m.pretrained.mean(m.x, t)),
            ("shift", 1, lambda m, t=t: m.policy.shift(m.x, t)),
            ("sigma", 1, lambda m, t=t: m.pretrained.sigma(t)),
            ("soft values", 0, lambda m, t=t: m.soft(m.x, t)),
            ("their gradient", 0, lambda m, t=t: m.soft.grad(m.x, t)),
            ("the blurred value", 1, lambda m, t=t: m.soft.blurred(t)),
            ("add_noise", 0, lambda m, t=t: m.schedule.add_noise(m.x, t, generator=m.generator)),
            ("forward_step", 1, lambda m, t=t: m.schedule.forward_step(m.x, t, generator=m.generator)),
        ]
    ),
    ("a step to x_0", lambda m: m.pretrained.mean(m.x, 0), r"t must be a whole number in 1\.\.5, got 0"),
    ("t too large in a row", lambda m: m.soft(m.x, torch.tensor([1, 2, 6, 0])), r"whole numbers in 0\.\.5, got \[1, 2"),
    (
        "t of floats",
        lambda m: m.pretrained.mean(m.x, torch.ones(4)),
        r"t must hold whole numbers in 1\.\.5, got \[1\.0",
    ),
    ("no t at all", lambda m: m.soft(m.x, torch.tensor([], dtype=torch.long)), r"whole numbers in 0\.\.5, got \[\]"),
    # rewards
    *(
        (f"{name}, reward of {kind}", lambda m, f=call, r=reward: f(m, r), pattern)
        for name, call in {
            "SoftValues": lambda m, r: SoftValues(m.pretrained, r, alpha=0.5, extent=5.0, grid=33),
            "TiltedDensity": lambda m, r: TiltedDensity(m.pretrained, r, extent=5.0, grid=33),
            "evaluate": lambda m, r: evaluate(m.pretrained, r, alpha=0.5, n=10, generator=seeded(0)),
        }.items()
        for kind, reward, pattern in [
            ("the wrong shape", pairs, r"reward pairs must return shape \[\d+\] for x_0 \[\d+, 2\], got \[\d+, 2\]"),
            ("no tensor", number, r"reward number must return shape \[\d+\] for x_0 \[\d+, 2\], got float"),
            ("half NaN", half_nan, r"reward half_nan returned NaN or infinity for (49\.9|50\.\d)% of \d+ samples"),
        ]
    ),
    ("a peak without width", lambda m: peak((0.0, 0.0), width=0), r"width must be a finite number > 0, got 0"),
    ("a disc without radius", lambda m: disc((0.0, 0.0), radius=-1), r"radius must be a finite number > 0, got -1"),
    ("a NaN softness", lambda m: half_plane((1.0, 0.0), softness=math.nan), r"softness must be .* > 0, got nan"),
    # mixtures
    (
        "weights that miss one",
        lambda m: mixture((0.5, 0.4), stds=torch.ones(2)),
        r"sum to one, got .* with sum 0\.[89]",
    ),
    (
        "a negative weight",
        lambda m: mixture((1.5, -0.5), stds=torch.ones(2)),
        r"weights must be ≥ 0 .*got \[1\.5, -0\.5",
    ),
    ("a NaN weight", lambda m: mixture((math.nan, 1.0), stds=torch.ones(2)), r"weights must be ≥ 0 .* got \[nan"),
    (
        "singular",
        lambda m: mixture(covariances=[EYE, [[1.0, 1.0], [1.0, 1.0]]]),
        r"component 1 is singular .* eigenvalue",
    ),
    (
        "indefinite",
        lambda m: mixture(covariances=[[[1.0, 2.0], [2.0, 1.0]], EYE]),
        r"component 0 is .* eigenvalue -1\)",
    ),
    ("asymmetric", lambda m: mixture(covariances=[EYE, [[1.0, 0.5], [0.0, 1.0]]]), r"symmetric, got .* differ by 0\.5"),
    (
        "NaN covariance",
        lambda m: mixture(covariances=[EYE, [[math.nan] * 2] * 2]),
        r"covariances must be finite, got NaN",
    ),
    ("one covariance short", lambda m: mixture(covariances=[EYE]), r"\[K, D, D\] = \[2, 2, 2\], got \[1, 2, 2\]"),
    (
        "stds of zero",
        lambda m: mixture(stds=torch.tensor([1.0, 0.0])),
        r"stds must be finite and > 0, got \[1\.0, 0\.0\]",
    ),
    ("negative stds", lambda m: mixture(stds=torch.tensor([1.0, -1.0])), r"stds must be finite and > 0, got"),
    ("one std short", lambda m: mixture(stds=torch.ones(1)), r"expected stds \[K\] = \[2\], got \[1\]"),
    ("both spreads", lambda m: mixture(covariances=[EYE, EYE], stds=torch.ones(2)), r"exactly one of covariances"),
    ("no spread", lambda m: mixture(), r"exactly one of covariances .* and stds"),
    (
        "means without components",
        lambda m: GaussianMixture(torch.ones(1), torch.zeros(2), stds=torch.ones(1)),
        r"expected weights \[K\] and means \[K, D\], got \[1\] and \[2\]",
    ),
    (
        "infinite means",
        lambda m: GaussianMixture(torch.ones(1), torch.full((1, 2), math.inf), stds=torch.ones(1)),
        r"means must be finite, got NaN or infinity",
    ),
    ("points of three", lambda m: m.mixture.log_prob(torch.zeros(4, 3)), r"x must have shape \[B, 2\], got \[4, 3\]"),
    ("a point without a batch", lambda m: m.mixture.score(torch.zeros(2)), r"x must have shape \[B, 2\], got \[2\]"),
    ("a level above one", lambda m: m.mixture.noised(1.5), r"alpha_bar must lie in \[0, 1\], got 1\.5"),
    ("a NaN level", lambda m: m.mixture.denoise(m.x, math.nan), r"alpha_bar must lie in \[0, 1\], got nan"),
    ("a posterior of x_0", lambda m: m.mixture.posterior(m.x, 1.0), r"must lie in \(0, 1\) .* got \[1\.0\]"),
    (
        "a tilt that diverges",
        lambda m: m.mixture.tilt(quadratic=-20 * torch.eye(2)),
        r"positive definite .*, got -0\.8",
    ),
    ("a tilt of another size", lambda m: m.mixture.tilt(linear=torch.ones(3)), r"linear \[D\] .* D = 2, got \[3\]"),
    (
        "an asymmetric tilt",
        lambda m: m.mixture.tilt(quadratic=torch.tensor([[1.0, 1.0], [0.0, 1.0]])),
        r"quadratic symmetric, got .*\[\[1\.0, 1\.0\], \[0\.0, 1\.0\]\]",
    ),
    ("a NaN tilt", lambda m: m.mixture.tilt(linear=torch.full((2,), math.nan)), r"must be finite .* got \[nan, nan\]"),
    # how many
    *(
        (f"{name}, n = {n}", call, rf"n must be a whole number ≥ {least}, got {n}")
        for n in (0, -3, 1.5, math.nan)
        for name, least, call in [
            ("mixture.sample", 1, lambda m, n=n: m.mixture.sample(n, generator=m.generator)),
            ("rollout", 1, lambda m, n=n: rollout(m.pretrained, n, generator=m.generator)),
            ("ddim", 1, lambda m, n=n: ddim(m.pretrained, n, generator=m.generator)),
            ("sample_optimal", 1, lambda m, n=n: sample_optimal(m.soft, n, generator=m.generator)),
            ("evaluate", 2, lambda m, n=n: evaluate(m.pretrained, RING_REWARD, alpha=1, n=n, generator=m.generator)),
            (
                "value_weighted.sample",
                1,
                lambda m, n=n: value_weighted.sample(m.pretrained, Flat(), alpha=1.0, n=n, generator=m.generator),
            ),
            (
                "classifier_free.sample",
                1,
                lambda m, n=n: classifier_free.sample(m.pretrained, m.pretrained, n=n, generator=m.generator),
            ),
        ]
    ),
    # schedules and chains
    *(
        (f"{kind}({T})", lambda m, k=kind, T=T: getattr(NoiseSchedule, k)(T), rf"T must be a whole number ≥ 2, got {T}")
        for kind in ("cosine", "linear")
        for T in (1, 0, -5, 2.5, math.inf)
    ),
    ("β of one", lambda m: NoiseSchedule(torch.tensor([0.1, 1.0])), r"beta must lie in \(0, 1\), got 0\.1 to 1"),
    ("β of zero", lambda m: NoiseSchedule(torch.tensor([0.0, 0.1])), r"beta must lie in \(0, 1\), got 0 to 0\.1"),
    ("NaN β", lambda m: NoiseSchedule(torch.tensor([math.nan, 0.1])), r"beta must lie in \(0, 1\), got nan"),
    ("one β", lambda m: NoiseSchedule(torch.tensor([0.5])), r"shape \[T\] with T ≥ 2, got \[1\]"),
    (
        "a path of another T",
        lambda m: m.policy.log_prob(Trajectory(torch.zeros(4, 2, 2))),
        r"expected a path of T = 5 steps, got 3",
    ),
    (
        "a path of other points",
        lambda m: m.policy.log_ratio(Trajectory(torch.zeros(6, 2, 3))),
        r"path\.x must have shape \[B, 2\], got \[6, 2, 3\]",
    ),
    (
        "x_t of other points",
        lambda m: m.pretrained.mean(torch.zeros(4, 3), 2),
        r"x_t must have shape \[B, 2\], got \[4, 3\]",
    ),
    ("a control for images", lambda m: SteeredPolicy(m.image_policy), r"pass a control for data of shape \(1, 8, 8\)"),
    (
        "η above one",
        lambda m: ddim(m.pretrained, 3, eta=1.5, generator=m.generator),
        r"eta must lie in \[0, 1\], got 1\.5",
    ),
    (
        "an unknown prediction",
        lambda m: convert(m.x, m.x, 0.5, "x_0", "noise"),
        r"prediction 'noise'; known: x_0, epsilon",
    ),
    ("a prediction at no noise", lambda m: convert(m.x, m.x, 1.0, "x_0", "v"), r"must lie in \(0, 1\), got 1\.0"),
    # grids and exact answers
    (
        "a grid too small for the chain",
        lambda m: SoftValues(m.pretrained, RING_REWARD, alpha=0.5, extent=1.0),
        r"\[−1, 1\]² is too small: \d+\.\d% of the pretrained paths leave it; pass extent ≥ \d",
    ),
    (
        "a grid too small for the data",
        lambda m: TiltedDensity(m.pretrained, RING_REWARD, extent=1.0),
        r"\[−1, 1\]² is too small: \d+\.\d% of the pretrained paths leave it; pass extent ≥ \d",
    ),
    (
        "a grid too coarse",
        lambda m: SoftValues(narrow_chain(m), RING_REWARD, alpha=0.01, extent=5.0, grid=16),
        r"16 points on \[−5, 5\] is too coarse .* moves J\* by \d+\.\d% of J\* − J_pre; pass a larger grid",
    ),
    ("a grid of three", lambda m: Grid(5.0, 3), r"n must be a whole number ≥ 8, got 3"),
    ("a grid of no extent", lambda m: Grid(0.0, 20), r"extent must be a finite number > 0, got 0"),
    (
        "values of another grid",
        lambda m: Spline(torch.zeros(9, 9), Grid(1.0, 8)),
        r"expected values \[8, 8\] .*\[9, 9\]",
    ),
    (
        "exact values of images",
        lambda m: SoftValues(m.image_policy, RING_REWARD, alpha=1.0, extent=5.0),
        r"exact values need points \[2\], got data of shape \[1, 8, 8\]",
    ),
    (
        "an exact target of images",
        lambda m: TiltedDensity(m.image_policy, RING_REWARD, extent=5.0),
        r"exact values need points \[2\], got data of shape \[1, 8, 8\]",
    ),
    ("soft values of triples", lambda m: m.soft(torch.zeros(4, 3), 2), r"x must have shape \[B, 2\], got \[4, 3\]"),
    ("a frontier of one", lambda m: Frontier(torch.ones(1)), r"finite rewards \[N\], N ≥ 2, got \[1\]"),
    (
        "a NaN reward",
        lambda m: Frontier(torch.tensor([0.0, math.nan])),
        r"finite rewards .* got \[2\], 50\.0% not finite",
    ),
    ("loose weights", lambda m: Frontier(torch.ones(2), torch.ones(2)), r"sum to one, got \[2\] .* with sum 2"),
    ("signed weights", lambda m: Frontier(torch.ones(2), torch.tensor([2.0, -1.0])), r"be ≥ 0 .* got \[2\] from -1 up"),
    ("short weights", lambda m: Frontier(torch.ones(2), torch.ones(1)), r"weights must have shape \[2\].* got \[1\]"),
    # distances
    (
        "unequal samples",
        lambda m: energy_distance(m.x, m.x[:3]),
        r"two samples of one shape .* got \[4, 2\] and \[3, 2\]",
    ),
    (
        "no projections",
        lambda m: sliced_wasserstein(m.x, m.x, generator=m.generator, projections=0),
        r"projections must be a whole number ≥ 1, got 0",
    ),
    (
        "one repeat",
        lambda m: compare(energy_distance, m.x, lambda n: m.x, repeats=1),
        r"repeats must be a whole number ≥ 2, got 1",
    ),
    # diversity
    ("too few neighbours", lambda m: entropy(m.x[:3]), r"expected samples \[n, …\], n ≥ 4, got \[3, 2\]"),
    ("no neighbour", lambda m: entropy(m.x, k=0), r"k must be a whole number ≥ 1, got 0"),
    ("the entropy of NaN", lambda m: entropy(m.x * math.nan), r"samples must be finite, got NaN or infinity"),
    ("the entropy of numbers", lambda m: entropy(m.x[:, 0]), r"expected samples \[n, …\], n ≥ 4, got \[4\]"),
    (
        "modes of triples",
        lambda m: mode_shares(torch.zeros(4, 3), m.mixture),
        r"must have shape \[B, 2\], got \[4, 3\]",
    ),
    (
        "modes of no width",
        lambda m: mode_shares(m.x, m.mixture, radius=0),
        r"radius must be a finite number > 0, got 0",
    ),
    (
        "loose weights of modes",
        lambda m: mode_shares(m.x, m.mixture, weights=torch.ones(4)),
        r"expected weights \[4\] that sum to one, got \[4\] with sum 4",
    ),
    *(
        (
            f"a share of {share}",
            lambda m, s=share: modes_covered(m.x, m.mixture, share=s),
            rf"share must lie in \(0, 1\], got {share}",
        )
        for share in (0, 1.5, math.nan)
    ),
    ("the distance of one", lambda m: mean_distance(m.x[:1]), r"expected samples \[n, …\], n ≥ 2, got \[1, 2\]"),
    (
        "a backprop scene of unknown modes",
        lambda m: backprop_study.scene(dataclasses.replace(worlds.ring(5), mixture=None), RING_REWARD),
        r"expected a world whose mixture is known, got ring",
    ),
    (
        "more than all of the paths",
        lambda m: backprop_study.top_share(torch.ones(5, 10, 2), 1.5),
        r"part must lie in \(0, 1\), got 1\.5",
    ),
    (
        "an episode of an unknown mixture",
        lambda m: denoising_mdp.scene(dataclasses.replace(worlds.ring(5), mixture=None), RING_REWARD),
        r"expected a world whose mixture is known, got ring",
    ),
    # worlds and assets
    ("an unknown world", lambda m: worlds.make("moon"), r"unknown world 'moon'; known: ring, grid, two_moons, spiral"),
    (
        "an unknown reward",
        lambda m: worlds.ring().with_reward("gold"),
        r"unknown reward 'gold' in the world ring; known: peak, half_plane, disc",
    ),
    ("an unknown asset", lambda m: assets.load("moon"), r"unknown asset 'moon'; known: damaged, foreign, missing"),
    ("a damaged asset", lambda m: assets.load("damaged"), r"expected \d+ bytes .* got \d+ bytes .* `make assets`"),
    ("a foreign asset", lambda m: assets.load("foreign"), r"expected \d+ bytes .* got 10 bytes .* `make assets`"),
    (
        "a missing asset",
        lambda m: assets.load("missing"),
        r"expected the asset 'missing' at .* no file; .* `make assets`",
    ),
]


@pytest.fixture
def asset_folder(tmp_path, monkeypatch):
    """Assets that are damaged, foreign and missing."""
    monkeypatch.setattr(loader, "FOLDER", tmp_path)
    files = {name: assets.save(name, {"w": torch.ones(9)}, {}) for name in ("damaged", "foreign", "missing")}
    content = files["damaged"].read_bytes()
    files["damaged"].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    files["foreign"].write_bytes(b"not theirs")
    files["missing"].unlink()
    return tmp_path


def state_of(made, folder):
    """Everything a call could have changed, as bytes."""
    tensors = [*vars(made.schedule).values(), *vars(made.mixture).values(), *made.policy.state_dict().values()]
    tensors += [spline.coefficients for spline in made.soft._splines]
    tensors += [made.density.pretrained, made.density.reward, made.x, made.generator.get_state()]
    content = [a.numpy().tobytes() for a in tensors if isinstance(a, torch.Tensor)]
    return content, sorted((file.name, file.read_bytes()) for file in folder.iterdir())


@pytest.mark.parametrize(("call", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bad_input_is_refused_and_changes_nothing(call, message, made, asset_folder):
    before = state_of(made, asset_folder)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        call(made)
    assert state_of(made, asset_folder) == before


def test_every_case_has_its_own_name():
    names = [case[0] for case in CASES]
    assert len(names) == len(set(names)) > 100
