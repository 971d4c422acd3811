"""Asking a reward: the answer as it is, the number of questions, and a gradient where one is asked for."""

import math

import pytest
import torch

from tutorial_lib.rewards import QueryCounter, name_of, query, query_slope

from ..oracles import seeded

X = torch.randn(5, 2, generator=seeded(0))


def total(x):
    return x.sum(1)


def test_an_answer_comes_as_it_is_and_yes_and_no_as_one_and_zero():
    assert torch.equal(query(total, X), X.sum(1))
    found = query(lambda x: x[:, 0] > 0, X)
    assert found.dtype == X.dtype and torch.equal(found, (X[:, 0] > 0).float())


def test_every_sample_is_counted_once_and_the_name_is_kept():
    counter = QueryCounter(total)
    assert torch.equal(counter(X), total(X)) and counter.queries == 5
    counter(X[:2])
    assert counter.queries == 7 and name_of(counter) == "total" and name_of(QueryCounter(counter)) == "total"
    assert name_of(torch.nn.SiLU()) == "SiLU"


def test_a_slope_is_the_rewards_own():
    x = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(query_slope(lambda x: x.square().sum(1), x).sum(), x)
    torch.testing.assert_close(slope, 2 * X)


@pytest.mark.parametrize(
    "box", [lambda x: x.detach().sum(1), lambda x: torch.as_tensor(x.numpy().sum(1)), lambda x: torch.zeros(len(x))]
)
def test_a_reward_without_a_slope_is_told_from_one_with(box):
    with pytest.raises(ValueError, match="expected a differentiable reward, got <lambda>, which gives no gradient"):
        query_slope(box, X.clone().requires_grad_())


def test_the_share_that_is_not_finite_is_named():
    def root(x):
        return torch.tensor([1.0, math.nan, math.inf, 2.0, 0.0])

    for ask in (query, query_slope):
        with pytest.raises(ValueError, match=r"reward root returned NaN or infinity for 40\.0% of 5 samples"):
            ask(root, X.clone().requires_grad_())
