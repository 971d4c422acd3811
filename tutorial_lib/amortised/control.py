r"""One policy for every α: a control that takes α as an input, so that a slider over α needs no training of its own.

    u_t(x_t; α),   trained once with α drawn log-uniformly from [α_low, α_high]

For images it is the adapters of the network that α opens and shuts (`AmortisedAdapters`). Every `fine_tune` in
`algorithms` takes an AmortisedPolicy with `alpha=policy.alphas`, a range in place of a number.
Shapes: x_t [B, D] or [B, 1, H, W]; α a number, or a tensor [n] with an α for each of n paths.
"""

import math

import torch
from torch import Tensor, nn

from .checks import positive
from .denoisers import MLP, Denoiser, zero_at_start
from .lora import adapted, gate, merged
from .policies import DenoisingPolicy, RetunedPolicy, SteeredPolicy, TunablePolicy, within_reach

ALPHAS = (0.05, 5.0)


def price_range(alphas: tuple[float, float]) -> tuple[float, float]:
    """`alphas` as two floats; ValueError unless 0 < low < high."""
    low, high = (positive("alpha", alpha) for alpha in alphas)
    if not low < high:
        raise ValueError(f"expected a range of α from low to high, got {alphas!r}")
    return low, high


class PricedMLP(nn.Module):
    """An MLP that also takes log α, scaled to [−1, 1] over the range: x_t [B, D], t, α [B] → [B, outputs]."""

    def __init__(self, pretrained: DenoisingPolicy, outputs: int, alphas: tuple[float, float], *, width: int = 128):
        super().__init__()
        if len(pretrained.shape) != 1:
            raise ValueError(f"expected a policy of points [D], got data of shape {list(pretrained.shape)}")
        low, high = (math.log(alpha) for alpha in price_range(alphas))
        self.middle, self.half_width = (low + high) / 2, (high - low) / 2
        network = zero_at_start(MLP(pretrained.shape[0] + 1, outputs, pretrained.schedule.T, width=width))
        self.network = network.to(pretrained.schedule.sigma.device)

    def forward(self, x_t: Tensor, t: int | Tensor, alpha: Tensor) -> Tensor:
        place = (alpha.log() - self.middle) / self.half_width
        return self.network(torch.cat([x_t, place.unsqueeze(1)], 1), t)


class AmortisedControl(nn.Module):
    """u_t(x_t; α) for points: [B, D], t, α [B] → [B, D], zero at the start. The network's output is divided by 1 + α,
    because the optimal shift falls as 1/α where α is large."""

    def __init__(
        self, pretrained: DenoisingPolicy, alphas: tuple[float, float], *, width: int = 128, reach: float = 5.0
    ):
        super().__init__()
        self.reach = positive("reach", reach)
        self.network = PricedMLP(pretrained, pretrained.shape[0], alphas, width=width)

    def forward(self, x_t: Tensor, t: int | Tensor, alpha: Tensor) -> Tensor:
        return within_reach(self.network(x_t, t, alpha) / (1 + alpha.unsqueeze(1)), self.reach)


class AmortisedPolicy(TunablePolicy):
    """A family of steered policies, one for every α of a range, that share one network. `at(alpha)` is a member.

    control: a module (x_t [B, …], t, α [B]) → [B, …]; None makes an MLP for points.
    """

    def __init__(
        self,
        pretrained: DenoisingPolicy,
        control: nn.Module | None = None,
        *,
        alphas: tuple[float, float] = ALPHAS,
        width: int = 128,
    ):
        super().__init__(pretrained)
        self.alphas = price_range(alphas)
        self.control = control if control is not None else AmortisedControl(pretrained, self.alphas, width=width)

    def proposal(self, x_t: Tensor, t: int | Tensor) -> tuple[Tensor, Tensor]:
        raise ValueError("an amortised policy acts at one α: expected policy.at(alpha), got the policy itself")

    def at(self, alpha: float | Tensor) -> TunablePolicy:
        """The member at α, or at an α for each of n paths [n]. ValueError outside the range."""
        return SteeredPolicy(self.pretrained, _At(self.control, self.prices(alpha)))

    def prices(self, alpha: float | Tensor) -> Tensor:
        """`alpha` as a tensor [1] or [n]; ValueError outside the range."""
        low, high = self.alphas
        prices = torch.as_tensor(alpha, dtype=torch.float32, device=self.schedule.sigma.device).reshape(-1)
        if not bool(((prices >= low * (1 - 1e-6)) & (prices <= high * (1 + 1e-6))).all()):
            raise ValueError(f"expected alpha in [{low:g}, {high:g}], the range of this policy, got {alpha!r}")
        return prices


class _At(nn.Module):
    """A control at the α of each path."""

    def __init__(self, control: nn.Module, prices: Tensor):
        super().__init__()
        self.control, self.prices = control, prices

    def forward(self, x_t: Tensor, t: int | Tensor) -> Tensor:
        return self.control(x_t, t, by_row(self.prices, x_t))


def by_row(prices: Tensor, x_t: Tensor) -> Tensor:
    """α of every row, where the rows are n paths, or all steps of n paths (`Trajectory.steps`): [n] → [B]."""
    steps, rest = divmod(len(x_t), len(prices))
    if rest:
        raise ValueError(f"expected rows for {len(prices)} paths, one α each, got {len(x_t)} rows")
    return prices.to(x_t).repeat(steps)


class PricedDenoiser(Denoiser):
    """x̂_0(x_t, t, label; α) of a network with gated adapters, which `at` one α is a plain network again.

    W + s B diag(C φ(α)) A,   φ(α) = (1, a, a², a³) / (1 + α/α_mid),   a = log α scaled to [−1, 1] over the range
    """

    def __init__(self, denoiser: Denoiser, rank: int, alphas: tuple[float, float], *, generator: torch.Generator):
        super().__init__()
        self.schedule, self.shape = denoiser.schedule, denoiser.shape
        low, high = (math.log(alpha) for alpha in price_range(alphas))
        self.middle, self.half_width = (low + high) / 2, (high - low) / 2
        self.network = adapted(denoiser, rank, features=4, generator=generator)

    def features(self, alpha: Tensor) -> Tensor:
        """φ(α): [B] → [B, 4]."""
        away = (alpha.log() - self.middle).unsqueeze(1)
        return (away / self.half_width) ** torch.arange(4, device=alpha.device) * (-away).sigmoid()

    def forward(self, x_t: Tensor, t: int | Tensor, alpha: Tensor, label: Tensor | None = None) -> Tensor:
        gate(self.network, self.features(alpha))
        return self.network(x_t, t, label)

    def at(self, alpha: Tensor) -> Denoiser:
        """The network at one α [1], its weights written out and frozen."""
        gate(self.network, self.features(alpha)[0])
        return merged(self.network).requires_grad_(False)


class _DenoiserAt(Denoiser):
    """A denoiser at the α of each path."""

    def __init__(self, denoiser: PricedDenoiser, prices: Tensor):
        super().__init__()
        self.schedule, self.shape, self.denoiser, self.prices = denoiser.schedule, denoiser.shape, denoiser, prices

    def forward(self, x_t: Tensor, t: int | Tensor, label: Tensor | None = None) -> Tensor:
        return self.denoiser(x_t, t, by_row(self.prices, x_t), label)


class AmortisedAdapters(AmortisedPolicy):
    """A family of retuned networks: low-rank adapters with gates that depend on α (`PricedDenoiser`).

    The member at a number is frozen and samples at the price of the plain network; the one at a tensor can be tuned.
    """

    control: PricedDenoiser
    pace = 0.2  # of adapters

    def __init__(
        self,
        pretrained: DenoisingPolicy,
        *,
        alphas: tuple[float, float],
        rank: int = 8,
        generator: torch.Generator,
    ):
        denoiser = PricedDenoiser(pretrained.denoiser, rank, alphas, generator=generator)
        super().__init__(pretrained, denoiser, alphas=alphas)

    def at(self, alpha: float | Tensor) -> RetunedPolicy:
        prices = self.prices(alpha)
        if isinstance(alpha, Tensor):
            return RetunedPolicy(self.pretrained, _DenoiserAt(self.control, prices))
        return RetunedPolicy(self.pretrained, self.control.at(prices))
