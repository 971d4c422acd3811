"""An unconditional model, tuned for log p(8|x) at α = 1: how many of its digits are eights, by two judges."""

import torch

from tutorial_lib import worlds
from tutorial_lib.notebooks.s06_digits.guidance_study import judged
from tutorial_lib.policies import rollout
from tutorial_lib.worlds import digit_images, digits_rewards

from ..oracles import seeded
from .digit_chains import DRAWN, pretrained_digits

CLAIM = dict(
    number="8.3",
    section="§8",
    statement="Conditioning as fine-tuning: with r = log p(y|x) at α = 1 an unconditional model becomes a conditional "
    "one, by the classifier that it was tuned for and by the nearest digit of the data, which nobody optimised",
    notebook="06_digits",
    function="tutorial_lib.rewards.log_probability",
)


def test_claim_8_3_a_model_of_eights(claim):
    x_0 = rollout(worlds.shipped.digits_at_one_alpha("log_probability"), DRAWN, generator=seeded(7)).x_0
    before, after = judged(pretrained_digits(), 8), judged(x_0, 8)
    bank = digits_rewards()
    optimum = float(bank["log_probability"].double().softmax(0) @ (bank["label"] == 8).double())
    claim.record(
        label=f"digits, y = 8, {DRAWN} draws",
        measured=f"by the classifier {before.read:.0%} → {after.read:.0%}, at the bank's optimum {optimum:.0%}; by the "
        f"nearest digit {before.nearest:.0%} → {after.nearest:.0%}",
        threshold="≤ 20 % before, ≥ 60 % after, by both",
        floor="s.e. 3 %",
        seed=7,
    )
    assert max(before.read, before.nearest) <= 0.2
    assert min(after.read, after.nearest) >= 0.6


def test_claim_8_3_the_judges_know_eights(claim):
    """On the data itself: the classifier on digits it has not seen, and the nearest other digit."""
    (images, labels), others = digit_images(), torch.arange(1797) % 5 == 0
    chosen = images[others & (labels == 8)]
    seen = judged(chosen, 8)
    away = torch.cdist(chosen.flatten(1), images[~others].flatten(1))
    nearest = float((labels[~others][away.argmin(1)] == 8).float().mean())
    claim.record(
        label="the judges, on eights that they have not seen",
        measured=f"classifier {seen.read:.0%}, nearest other digit {nearest:.0%}",
        threshold="≥ 90 % each",
        floor=f"s.e. {(0.05 * 0.95 / len(chosen)) ** 0.5:.0%}",
    )
    assert min(seen.read, nearest) >= 0.9
