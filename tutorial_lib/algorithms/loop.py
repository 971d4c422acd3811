r"""Fine-tuning algorithms (§5, §6), one idea a file: a pure loss under its equation, and `fine_tune`, which trains.

    maximise  J(θ) = E[r(x_0)] − α Σ_t E[KL_t]   ⇔   log p_θ/p_pre (x_{t−1}|x_t) = (v_{t−1}(x_{t−1}) − v_t(x_t))/α

Every `fine_tune(policy, reward, *, alpha, generator, …)` changes `policy` in place and yields a Step an iteration: stop
iterating to stop training. Inside, rewards and values are in units of α, so that one set of defaults fits every α.
For an AmortisedPolicy `alpha` may be a range (low, high): each iteration then draws LEVELS of them, log-uniformly.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from ..amortised import AmortisedPolicy, PricedMLP, price_range
from ..checks import count, positive
from ..denoisers import MLP, initial_weights, zero_at_start
from ..policies import Policy, Trajectory, TunablePolicy
from ..rewards import QueryCounter, Reward, query

LEVELS = 16  # how many α an iteration draws from a range
RATE = 4e-3  # of learning, for a policy of pace 1
STEADY = 0.5  # share of the iterations before the learning rate begins to fall


@dataclass(frozen=True)
class Step:
    """One iteration, measured on the samples that it trained on: J = reward − α·kl, the loss, and the bill so far.
    Where α is a range, all three are averages over it.

    iterations: how many are planned; queries: samples that the reward was asked about; seconds: spent inside
    `fine_tune`; extra: what only this algorithm has, by name.
    """

    iteration: int
    iterations: int
    objective: float
    reward: float
    kl: float
    loss: float
    queries: int
    seconds: float
    extra: Mapping[str, float] = field(default_factory=dict)


def run(steps: Iterable[Step], *, progress: bool = False) -> list[Step]:
    """Every Step of a `fine_tune`, behind a progress bar if asked. Interrupting keeps policy and parameters."""
    history: list[Step] = []
    with tqdm(disable=not progress) as bar:
        for step in steps:
            bar.total = step.iterations
            bar.set_postfix_str(f"J {step.objective:.3f}, reward {step.reward:.3f}, KL {step.kl:.2f}", refresh=False)
            bar.update()
            history.append(step)
    return history


class Training:
    """What every loop here keeps: optimiser and learning rate, the counted reward, and the clock.

    learning_rate: of Adam; None is the `usual` one times `policy.pace`.
    """

    def __init__(
        self,
        policy: Policy,
        reward: Reward,
        *,
        alpha: float | tuple[float, float],
        n: int,
        iterations: int,
        learning_rate: float | None = None,
        usual: float = RATE,
        generator: torch.Generator,
        helpers: Iterable[nn.Module] = (),
    ):
        if not isinstance(policy, TunablePolicy) or not any(p.requires_grad for p in policy.parameters()):
            raise ValueError(
                f"expected a policy with parameters to tune, such as SteeredPolicy(pretrained) or tunable(pretrained), "
                f"got {type(policy).__name__}"
            )
        self.policy, self.n, self.levels = policy, count("n", n, least=2), 1
        if isinstance(alpha, tuple):
            self.levels = LEVELS
            if not isinstance(policy, AmortisedPolicy):
                raise ValueError(f"expected an AmortisedPolicy for a range of alpha, got {type(policy).__name__}")
            if n % LEVELS or n < 2 * LEVELS:
                raise ValueError(f"expected n to be a multiple of {LEVELS}, and at least two of it, got {n}")
        self._range = price_range(alpha) if isinstance(alpha, tuple) else (positive("alpha", alpha),) * 2
        self.iterations, self.iteration, self.generator = count("iterations", iterations), 0, generator
        self.reward, self.seconds = QueryCounter(reward), 0.0
        self.weights = [p for module in (policy, *helpers) for p in module.parameters() if p.requires_grad]
        self._rate = positive("learning_rate", usual * policy.pace if learning_rate is None else learning_rate)
        self.optimiser = torch.optim.Adam(self.weights, lr=self._rate)

    def __iter__(self) -> Iterator[Tensor]:
        """Each iteration's α for every path [n]."""
        for iteration in range(1, self.iterations + 1):
            self.iteration, self._began = iteration, time.perf_counter()
            left = 1 - (iteration - 1) / self.iterations
            self.optimiser.param_groups[0]["lr"] = self._rate * min(1, left / (1 - STEADY))
            self.alpha = self._draw()
            yield self.alpha

    def _draw(self) -> Tensor:
        """α for each of n paths [n]. Neighbours differ, so that any stretch of paths is a fair draw."""
        (low, high), device = self._range, self.generator.device
        places = torch.zeros(1, device=device)
        if self.levels > 1:  # one in each of as many equal parts of the range
            places = torch.arange(self.levels, device=device).float()
            places = (places + torch.rand(self.levels, device=device, generator=self.generator)) / self.levels
        return (low * (high / low) ** places).repeat(self.n // self.levels)

    def each(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """f of the paths of each α by themselves: [..., n] → [..., n]."""
        parts = [f(x[..., level :: self.levels]) for level in range(self.levels)]
        return torch.stack(parts, -1).flatten(-2)

    def rewards(self, x_0: Tensor, ask: Callable[[Reward, Tensor], Tensor] = query) -> Tensor:
        """r(x_0)/α, counted and checked: [n, …] → [n]. A NaN stops the run before anything has changed."""
        return ask(self.reward, x_0) / self.alpha

    def descend(self, loss: Tensor) -> None:
        """One step of Adam, gradients clipped to norm 1. FloatingPointError, and no step, where they are not finite."""
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.weights, 1.0)
        if not torch.isfinite(loss + norm):
            raise FloatingPointError(
                f"expected a finite loss in iteration {self.iteration}, got {loss.item()} with gradient norm "
                f"{norm.item()}; the parameters before this step are kept; try a learning rate below {self._rate:g}"
            )
        self.optimiser.step()

    def step(self, loss: float, r: Tensor, kl: Tensor, **extra: float) -> Step:
        """The Step to yield: r [n] in units of α, kl [n], of the first n paths."""
        self.seconds += time.perf_counter() - self._began
        alpha = self.alpha[: len(r)]
        reward, paid = (alpha * r).mean().item(), kl.mean().item()
        J, queries = reward - (alpha * kl).mean().item(), self.reward.queries
        return Step(self.iteration, self.iterations, J, reward, paid, loss, queries, self.seconds, extra)


def minibatches(n: int, parts: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """0..n−1 in random order, dealt evenly to `parts` index tensors, or to n where there are fewer."""
    return torch.randperm(n, generator=generator, device=generator.device).tensor_split(min(parts, n))


def in_objective(alpha: Tensor) -> Tensor:
    """α over its mean [n]: the weight that turns a loss in units of α, such as a KL, into units of J."""
    return alpha / alpha.mean()


class ValueNetwork(nn.Module):
    """v_t(x_t) of points: [B, D], t → [B], in the units of the rewards that `adapt` was shown. It starts at their
    mean. With `alpha` [B] it gives v_t(x_t)/α; beside an AmortisedPolicy, v_t depends on that α.
    """

    def __init__(self, policy: Policy, *, generator: torch.Generator, width: int = 64):
        super().__init__()
        if len(policy.shape) != 1:
            raise ValueError(
                f"a value network needs points [D], got data of shape {list(policy.shape)}; none is needed by soft_ppo "
                f"with baseline=False, path_consistency with kind='vargrad', and values.Tweedie"
            )
        with initial_weights(generator):
            self.network: nn.Module
            if isinstance(policy, AmortisedPolicy):
                self.network = PricedMLP(policy.pretrained, 1, policy.alphas, width=width)
            else:
                self.network = zero_at_start(MLP(policy.shape[0], 1, policy.schedule.T, width=width))
        self.network.to(policy.schedule.sigma.device)
        self.center, self.scale = 0.0, 0.0

    def forward(self, x_t: Tensor, t: int | Tensor, alpha: Tensor | None = None) -> Tensor:
        found = self.network(x_t, t, alpha) if isinstance(self.network, PricedMLP) else self.network(x_t, t)
        v = self.center + self.scale * found.squeeze(1)
        return v if alpha is None else v / alpha

    def along(self, path: Trajectory, r: Tensor, alpha: Tensor) -> Tensor:
        """v_t(x_t)/α of every step of n paths, and r/α in row 0: r, alpha [n] → [T+1, n]."""
        x_t, t, _ = path.steps()
        return torch.cat([r.unsqueeze(0), self(x_t, t, alpha.repeat(path.T)).reshape(path.T, -1)])

    def adapt(self, r: Tensor, alpha: Tensor | None = None) -> None:
        """Take mean and spread from the first batch of rewards [n], or of r/α [n] with their α [n]."""
        if not self.scale:
            unit = 1.0 if alpha is None else alpha.mean().item()
            rewards = r if alpha is None else r * alpha
            self.center, self.scale = rewards.mean().item(), max(rewards.std().item(), 1e-3 * unit)


def path_kl(policy: Policy, path: Trajectory) -> Tensor:
    """Σ_t ½‖u_t‖² along each path of whatever policy, one t at a time to save memory: [B]."""
    with torch.no_grad():
        return torch.stack([policy.kl(path.x[t], t) for t in range(1, path.T + 1)]).sum(0)
