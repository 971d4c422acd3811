r"""Where a policy stands against a frontier of reward and KL, and how varied its samples are (§3, §4).

    share = (J − J_pre)/(J* − J_pre),   one minus the regret

For data without a grid, such as images, where a bank of samples knows the frontier.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..exact import Frontier
from ..policies import Policy
from ..rewards import Reward, query
from .diversity import class_entropy, class_entropy_error, mean_distance, mean_distance_error
from .report import rollout_with_kl

Look = Callable[[Tensor], Mapping[str, Tensor]]  # images [n, …] → label and nearest, [n] each


@dataclass(frozen=True)
class Standing:
    """What n images attain, reward and KL (nats), and how varied they are: `classes`, the entropy in nats of the labels
    that the classifier sees; `apart`, E‖x − x′‖; `nearest`, to the data's nearest digit. Each with its standard error.
    """

    reward: float
    reward_se: float
    kl: float
    kl_se: float
    classes: float
    classes_se: float
    apart: float
    apart_se: float
    nearest: float
    nearest_se: float

    def above(self, frontier: Frontier) -> tuple[float, float]:
        """The reward less the frontier's at the same KL, and its standard error: the reward's, the KL's, the bank's."""
        point = frontier.at_kl(max(self.kl, 0.0))  # an estimate of a KL may be negative
        return self.reward - point.reward, math.hypot(self.reward_se, point.alpha * self.kl_se, point.objective_se)

    def share(self, frontier: Frontier, alpha: float) -> tuple[float, float]:
        """(J − J_pre)/(J* − J_pre), one minus the regret, and its standard error if reward and KL are unrelated."""
        before = float(frontier.rewards.mean())
        gain = frontier.at(alpha).objective - before
        return (self.reward - alpha * self.kl - before) / gain, math.hypot(self.reward_se, alpha * self.kl_se) / gain


def standing(x_0: Tensor, r: Tensor, kl: Tensor, look: Look) -> Standing:
    """Of images [n, …]. r, kl: a number for each of them, or for each of m clouds of akin ones, [m].

    look: says what they look like, `label` and `nearest` (`worlds.described` for digits).
    """
    seen = look(x_0)
    reward, nats, nearest = ((float(v.mean()), float(v.std()) / len(v) ** 0.5) for v in (r, kl, seen["nearest"]))
    classes = class_entropy(seen["label"]), class_entropy_error(seen["label"])
    return Standing(*reward, *nats, *classes, mean_distance(x_0), mean_distance_error(x_0), *nearest)


def policy_standing(policy: Policy, reward: Reward, look: Look, *, n: int = 256, seed: int = 99) -> Standing:
    """Of n fresh images of the policy."""
    generator = torch.Generator(policy.schedule.sigma.device).manual_seed(seed)
    path, kl = rollout_with_kl(policy, n, generator=generator)
    with torch.no_grad():
        return standing(path.x_0, query(reward, path.x_0), kl, look)


def weighted_standing(frontier: Frontier, alpha: float, seen: Mapping[str, Tensor], drawn: Tensor) -> Standing:
    """Of the optimum at α, by the weights of a frontier's N samples; `seen` says what these look like, [N] each.

    drawn: images [n, …] of the optimum, for how far apart two of them are.
    """
    best, weights = frontier.at(alpha), frontier.weights(alpha)
    classes = class_entropy(seen["label"], weights), class_entropy_error(seen["label"], weights)
    apart = mean_distance(drawn), mean_distance_error(drawn)
    nearest = frontier.mean(seen["nearest"].float(), alpha)
    return Standing(best.reward, best.reward_se, best.kl, best.kl_se, *classes, *apart, *nearest)


def standings_table(found: Mapping[str, Standing], frontier: Frontier, alpha: float) -> str:
    """A line for each: reward, KL, the share of J* − J_pre at that α, and the three numbers of variety."""
    width = max(map(len, found)) + 2
    rows = [f"{'':{width}}{'reward':>16}  {'KL (nats)':>14}  {'of J* − J_pre':>13}  classes  apart  nearest"]
    for name, s in found.items():
        share, error = s.share(frontier, alpha)  # + 0.0 below: no −0 %
        rows.append(
            f"{name:{width}}{s.reward:8.3f} ± {s.reward_se:.3f}  {s.kl:6.2f} ± {s.kl_se:.3f}"
            f"  {round(share, 2) + 0.0:6.0%} ± {error:4.0%}  {s.classes:7.2f}  {s.apart:5.2f}  {s.nearest:7.2f}"
        )
    return "\n".join(rows)
