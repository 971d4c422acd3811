r"""What every loop of §5 and §6 keeps: the optimiser, the counted reward, the clock, and the Step that it yields.

    maximise  J(θ) = E[r(x_0)] − α Σ_t E[KL_t]   ⇔   log p_θ/p_pre (x_{t−1}|x_t) = (v_{t−1}(x_{t−1}) − v_t(x_t))/α

Every `fine_tune(policy, reward, *, alpha, generator, …)` changes `policy` in place and yields a Step an iteration: stop
iterating to stop training. Inside, rewards and values are in units of α, so that one set of defaults fits every α.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from ..checks import count, positive
from ..policies import Policy, Trajectory, TunablePolicy
from ..rewards import QueryCounter, Reward, query

RATE = 4e-3  # of learning, for a policy of pace 1
STEADY = 0.5  # share of the iterations before the learning rate begins to fall
FLOOR = 10.0  # how far below the batch's worst finite r/α a reward of −∞ counts, where a number is needed: e⁻¹⁰ of it


@dataclass(frozen=True)
class Step:
    """One iteration, measured on the samples that it trained on: J = reward − α·kl, the loss, and the bill so far.

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
    """One run of a loop. Iterate over it for the numbers of the iterations, from 1.

    rate: Adam's learning rate at the start, constant for a share STEADY of the iterations, then falling to zero.
    """

    def __init__(
        self,
        policy: Policy,
        reward: Reward,
        *,
        alpha: float,
        n: int,
        iterations: int,
        learning_rate: float | None,
        usual: float = RATE,
        generator: torch.Generator,
        helpers: Iterable[nn.Module] = (),
    ):
        """learning_rate: None is the `usual` one times `policy.pace`. helpers: modules to train beside the policy."""
        if not isinstance(policy, TunablePolicy) or not any(p.requires_grad for p in policy.parameters()):
            raise ValueError(
                f"expected a policy with parameters to tune, such as SteeredPolicy(pretrained) or tunable(pretrained), "
                f"got {type(policy).__name__}"
            )
        self.alpha, self.n, self.generator = positive("alpha", alpha), count("n", n, least=2), generator
        self.iterations, self.iteration = count("iterations", iterations), 0
        self.reward, self.seconds = QueryCounter(reward), 0.0
        self.weights = [p for module in (policy, *helpers) for p in module.parameters() if p.requires_grad]
        self.rate = positive("learning_rate", usual * policy.pace if learning_rate is None else learning_rate)
        self.optimiser = torch.optim.Adam(self.weights, lr=self.rate)

    def __iter__(self) -> Iterator[int]:
        for iteration in range(1, self.iterations + 1):
            self.iteration, self._began = iteration, time.perf_counter()
            left = 1 - (iteration - 1) / self.iterations
            self.optimiser.param_groups[0]["lr"] = self.rate * min(1, left / (1 - STEADY))
            yield iteration

    def rewards(self, x_0: Tensor, ask: Callable[..., Tensor] | None = None) -> Tensor:
        """r(x_0)/α, counted and checked: [n, …] → [n]. NaN stops the run, nothing changed; −∞ is "never"."""
        return (ask(self.reward, x_0) if ask else query(self.reward, x_0, never=True)) / self.alpha

    def descend(self, loss: Tensor) -> None:
        """One step of Adam, gradients clipped to norm 1. FloatingPointError, and no step, where they are not finite."""
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.weights, 1.0)
        if not torch.isfinite(loss + norm):
            raise FloatingPointError(
                f"expected a finite loss in iteration {self.iteration}, got {loss.item()} with gradient norm "
                f"{norm.item()}; the parameters before this step are kept; try a learning rate below {self.rate:g}"
            )
        self.optimiser.step()

    def step(self, loss: float, r: Tensor, kl: Tensor, **extra: float) -> Step:
        """The Step to yield: r(x_0)/α [n] and Σ_t KL_t [n] of the policy's own paths."""
        self.seconds += time.perf_counter() - self._began
        reward, paid = self.alpha * r.mean().item(), kl.mean().item()
        J, queries = reward - self.alpha * paid, self.reward.queries
        return Step(self.iteration, self.iterations, J, reward, paid, loss, queries, self.seconds, extra)


def floored(r: Tensor) -> Tensor:
    """r/α [n] with −∞ as FLOOR below the worst finite one."""
    barred = r == -math.inf
    return torch.where(barred, r[~barred].min() - FLOOR, r) if barred.any() else r


def minibatches(n: int, parts: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """0..n−1 in random order, dealt evenly to `parts` index tensors, or to n where there are fewer."""
    return torch.randperm(n, generator=generator, device=generator.device).tensor_split(min(parts, n))


def path_kl(policy: Policy, path: Trajectory) -> Tensor:
    """Σ_t ½‖u_t‖² along each path of whatever policy, one t at a time to save memory: [B]."""
    with torch.no_grad():
        return torch.stack([policy.kl(path.x[t], t) for t in range(1, path.T + 1)]).sum(0)
