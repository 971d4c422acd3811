"""What the image rows of the claims share: the world of the digits, the bank's answers, and digits of a policy."""

import functools
from typing import Any

import torch

from tutorial_lib import worlds
from tutorial_lib.exact import Frontier
from tutorial_lib.metrics import class_entropy, mean_distance
from tutorial_lib.policies import record, rollout, tunable
from tutorial_lib.rewards import query
from tutorial_lib.worlds import described, digits_rewards

from ..oracles import seeded

DRAWN = 200
STEEP: dict[str, Any] = dict(iterations=15, n=12, last=10, learning_rate=1e-2)  # of backprop, for a quick collapse


@functools.cache
def bank():
    return digits_rewards()


@functools.cache
def digits(reward):
    return worlds.digits().with_reward(reward)


@functools.cache
def frontier(reward):
    return Frontier(bank()[reward])


def gain(reward, alpha):
    """J* − J_pre."""
    return frontier(reward).at(alpha).objective - float(frontier(reward).rewards.mean())


def share(reward, alpha, J):
    """(J − J_pre)/(J* − J_pre)."""
    return (J - float(frontier(reward).rewards.mean())) / gain(reward, alpha)


def attained(policy, reward, alpha, n=DRAWN, seed=7):
    """Of n fresh paths: the digits, reward and KL with their errors, and the share of J* − J_pre with its own."""
    with torch.no_grad():
        path = record(policy, n, generator=seeded(seed))
        r = query(digits(reward).reward, path.x_0)
    kl, J = path.kl(), r - alpha * path.log_ratio().sum(0)
    errors = [float(v.std()) / n**0.5 for v in (r, kl)]
    gained = share(reward, alpha, float(J.mean())), float(J.std()) / n**0.5 / gain(reward, alpha)
    return path.x_0, (float(r.mean()), errors[0]), (float(kl.mean()), errors[1]), gained


def above(reward, r, kl):
    """How far a point with errors, (reward, s.e.), (KL, s.e.), lies above the bank's frontier, in standard errors."""
    point = frontier(reward).at_kl(kl[0])
    noise = (r[1] ** 2 + (point.alpha * kl[1]) ** 2 + point.objective_se**2) ** 0.5
    return (r[0] - point.reward) / noise


@functools.cache
def pretrained_digits():
    return rollout(digits("ink").pretrained, DRAWN, generator=seeded(7)).x_0


def variety(x_0):
    """(class entropy in nats, mean distance, distance to the nearest digit of the data)."""
    seen = described(x_0)
    return class_entropy(seen["label"]), mean_distance(x_0), float(seen["nearest"].mean())


def beginner(reward, how="lora", seed=0):
    return tunable(digits(reward).pretrained, how, generator=seeded(seed))
