r"""A reward learned while fine-tuning (§7.3.2): in each round samples are labelled, r̂ is fitted anew, and p is tuned.

    maximise  E[r̂(x_0) + s ĝ(x_0)] − α KL(p ‖ p_pre) − β KL(p ‖ p_{i−1})
    optimum   p_i ∝ exp((r̂ + s ĝ)/(α + β)) p_pre^{α/(α+β)} p_{i−1}^{β/(α+β)}

s > 0 is optimism: what no label has covered yet is thought better than it looks, so that the next round's samples go
and see; ĝ shrinks where they have been (SEIKO, Uehara et al. 2024). Written as a tilt of p_pre, the optimum is

    p_i ∝ p_pre exp(R_i/(α + β)),   R_i = r̂_i + s ĝ_i + β/(α + β) R_{i−1}

so that the KL to the last round's policy is a memory of the rewards before, and any algorithm of §5 and §6 will do.
"""

import copy
import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..algorithms.loop import Step
from ..checks import count, not_negative, positive
from ..policies import TunablePolicy, rollout
from ..rewards import Reward, query
from ..rewards.uncertain import LearnedReward
from .offline import fit, pessimistic

STRATEGIES = {"greedy": 0.0, "optimistic": 1.0, "pessimistic": -1.0}  # sign of ĝ in the reward


@dataclass(frozen=True, eq=False)
class Round:
    """One round: what was bought, what was learned, and the policy tuned on it.

    queries: labels bought so far; x [N, …], y [N]: all of them; learned: r̂; reward: R_i, what the policy was tuned to,
    at KL weight α + β; true_reward: the oracle's mean over fresh samples of the policy, with its standard error;
    policy: as it was at the end of the round; steps: its training.
    """

    number: int
    rounds: int
    queries: int
    x: Tensor
    y: Tensor
    learned: LearnedReward
    reward: Reward
    true_reward: float
    true_reward_se: float
    policy: TunablePolicy
    steps: list[Step]


class Remembered:
    """R_i = reward + share · R_{i−1}: [B, …] → [B]."""

    def __init__(self, reward: Reward, before: Reward, share: float):
        self.reward, self.before, self.share, self.__name__ = reward, before, share, "remembered_reward"

    def __call__(self, x: Tensor) -> Tensor:
        return self.reward(x) + self.share * self.before(x)


@dataclass(frozen=True)
class Plan:
    """Everything about a run but its policy, oracle and generator."""

    algorithm: str
    alpha: float
    beta: float
    rounds: int
    per_round: int
    strategy: str
    strength: float
    kind: str
    judged: int
    options: dict[str, Any]

    @property
    def share(self) -> float:
        return self.beta / (self.alpha + self.beta)

    def learn(self, x: Tensor, y: Tensor, before: Reward | None, seed: int) -> tuple[LearnedReward, Reward]:
        """(r̂_i, R_i) from all labels so far."""
        learned = fit(x, y, kind=self.kind, generator=torch.Generator(x.device).manual_seed(seed))
        reward = pessimistic(learned, strength=-STRATEGIES[self.strategy] * self.strength)
        return learned, Remembered(reward, before, self.share) if before and self.share else reward

    def fingerprint(self) -> str:
        """What must be the same for a stored run to go on; it may be given more rounds."""
        fixed = {name: value for name, value in dataclasses.asdict(self).items() if name != "rounds"}
        return json.dumps(fixed, default=str, sort_keys=True)


def run(
    algorithm: Any,
    policy: TunablePolicy,
    oracle: Reward,
    *,
    alpha: float,
    rounds: int,
    per_round: int,
    strategy: str = "optimistic",
    strength: float = 1.0,
    beta: float = 0.0,
    kind: str = "features",
    judged: int = 1000,
    store: str | Path | None = None,
    generator: torch.Generator,
    **options: Any,
) -> Iterator[Round]:
    """Each round: `per_round` samples of the policy, a label for each from the oracle, r̂ from all labels so far, and
    the algorithm, which goes on with the policy in place.

    algorithm: a module with a `fine_tune`, such as soft_ppo, or a `fine_tune` itself; options: its own. strategy:
    "greedy" (r̂ alone), "optimistic" or "pessimistic", by `strength` deviations. kind: see `offline.fit`. judged: fresh
    samples that the oracle is asked about to tell `true_reward`; they are neither counted nor learned from, and 0 buys
    none: then it is the mean of the round's own labels, those of the policy before.
    store: a folder where each round is kept as it ends. Run again with it, and the rounds it has are handed out at
    once, the next with the same numbers as if nothing had happened. RuntimeError where the oracle fails.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"unknown strategy {strategy!r}; known: {', '.join(STRATEGIES)}")
    fine_tune = getattr(algorithm, "fine_tune", algorithm)
    plan = Plan(
        f"{fine_tune.__module__}.{fine_tune.__qualname__}",
        positive("alpha", alpha),
        not_negative("beta", beta),
        count("rounds", rounds),
        count("per_round", per_round, least=2),
        strategy,
        not_negative("strength", strength),
        kind,
        count("judged", judged, least=0),
        options,
    )
    return _rounds(fine_tune, policy, oracle, plan, Path(store) if store is not None else None, generator)


def _rounds(
    fine_tune: Callable[..., Iterator[Step]],
    policy: TunablePolicy,
    oracle: Reward,
    plan: Plan,
    store: Path | None,
    generator: torch.Generator,
) -> Iterator[Round]:
    x, y, before = torch.empty(0), torch.empty(0), None
    for number in range(1, plan.rounds + 1):
        kept = _load(store, number, plan, policy, generator) if store else None
        if kept:
            new_x, new_y, seed, judgement, steps = kept
        else:
            new_x = rollout(policy, plan.per_round, generator=generator).x_0
            new_y = _asked(oracle, new_x, number, store)
            seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        x, y = (torch.cat([x.to(new_x), new_x]), torch.cat([y.to(new_y), new_y])) if number > 1 else (new_x, new_y)
        learned, before = plan.learn(x, y, before, seed)
        if not kept:
            weight = plan.alpha + plan.beta
            steps = list(fine_tune(policy, before, alpha=weight, generator=generator, **plan.options))
            judgement = new_y
            if plan.judged:
                judgement = _asked(oracle, rollout(policy, plan.judged, generator=generator).x_0, number, store)
            if store:
                _save(store, number, plan, policy, generator, (new_x, new_y, seed, judgement, steps))
        mean, se = judgement.double().mean().item(), judgement.double().std().item() / len(judgement) ** 0.5
        frozen = copy.deepcopy(policy, {id(policy.pretrained): policy.pretrained})
        yield Round(number, plan.rounds, len(y), x, y, learned, before, mean, se, frozen, steps)


def _asked(oracle: Reward, x: Tensor, number: int, store: Path | None) -> Tensor:
    try:
        return query(oracle, x).detach().to(x)
    except Exception as problem:
        done = (
            f"rounds before it are kept in {store}; run again with the same store"
            if store
            else (
                "rounds before it have been handed out, and the policy is as the last of them left it; with store=… "
                "a run goes on where it stopped"
            )
        )
        raise RuntimeError(f"the oracle failed in round {number}: {problem}. The {done}") from problem


def _file(store: Path, number: int) -> Path:
    return store / f"round_{number:03d}.safetensors"


Kept = tuple[Tensor, Tensor, int, Tensor, list[Step]]


def _save(store: Path, number: int, plan: Plan, policy: TunablePolicy, generator: torch.Generator, kept: Kept) -> None:
    x, y, seed, judgement, steps = kept
    tensors = {"x": x, "y": y, "judgement": judgement, "generator": generator.get_state()}
    tensors |= {f"policy.{name}": value.contiguous() for name, value in policy.state_dict().items()}
    metadata = {"plan": plan.fingerprint(), "seed": str(seed)}
    metadata["steps"] = json.dumps([dataclasses.asdict(step) for step in steps])
    store.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(tensors, (new := _file(store, number).with_suffix(".new")), metadata)
    new.rename(_file(store, number))


def _load(store: Path, number: int, plan: Plan, policy: TunablePolicy, generator: torch.Generator) -> Kept | None:
    """A round as it was kept, with policy and generator set as they were at its end; None where there is none."""
    if not (file := _file(store, number)).exists():
        return None
    with safetensors.safe_open(file, "pt") as opened:
        metadata = cast(dict[str, str], opened.metadata())
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}
    if metadata["plan"] != plan.fingerprint():
        raise ValueError(f"expected {file} to be of a run with {plan.fingerprint()}, got one with {metadata['plan']}")
    device = policy.schedule.sigma.device
    policy.load_state_dict({n.removeprefix("policy."): v for n, v in tensors.items() if n.startswith("policy.")})
    generator.set_state(tensors["generator"])
    x, y, judgement = (tensors[name].to(device) for name in ("x", "y", "judgement"))
    return x, y, int(metadata["seed"]), judgement, [Step(**step) for step in json.loads(metadata["steps"])]
