"""What the backward pass keeps in memory: bytes of the tensors that autograd saves, against T."""

from tutorial_lib.policies import SteeredPolicy
from tutorial_lib.views.reward_backprop import peak_bytes, saved_bytes

from ..oracles import RING_REWARD, ring

CLAIM = dict(
    number="5.5",
    section="§5.2",
    statement="Memory of reward backpropagation: full grows linearly in T, gradient checkpointing cuts it by ≥ 3 × at "
    "T = 200, truncation to the last K steps makes it constant (points; LoRA on the image model is not measured here)",
    notebook="05_2_reward_backpropagation",
    function="tutorial_lib.algorithms.reward_backprop.sample",
)
DEPTHS = (25, 50, 100, 200)


def peaks(**options):
    return [peak_bytes(SteeredPolicy(ring(T)), RING_REWARD, n=64, **options) / 2**20 for T in DEPTHS]


def test_claim_5_5_memory_against_the_number_of_steps(claim):
    full, checkpointed, truncated = peaks(), peaks(checkpointed=True), peaks(last=10)
    per_step = [m / T for m, T in zip(full, DEPTHS, strict=True)]
    cut, drift = full[-1] / checkpointed[-1], max(per_step) / min(per_step) - 1
    growth = max(truncated) / min(truncated) - 1
    claim.record(
        label="T from 25 to 200, n = 64",
        measured=f"full {full[0]:.1f} to {full[-1]:.1f} MiB, bytes a step constant within {drift:.1%}; checkpointing "
        f"{cut:.0f} × less at T = 200; last 10 steps {truncated[-1]:.1f} MiB, constant within {growth:.1%}",
        threshold="linear within 5 %; ≥ 3 ×; constant within 5 %",
    )
    assert drift <= 0.05 and cut >= 3 and growth <= 0.05


def test_claim_5_5_checkpointing_counts_the_step_that_it_runs_again(claim):
    """By hand: T states [n, 2] in float32 stay, and one whole step is kept at a time on the way back."""
    n, T, policy = 64, 50, SteeredPolicy(ring(50))

    states = saved_bytes(policy, RING_REWARD, n=n, checkpointed=True)
    one_step = saved_bytes(policy, RING_REWARD, n=n, last=1)
    whole = peak_bytes(policy, RING_REWARD, n=n, checkpointed=True)
    claim.record(
        label="checkpointing, T = 50, n = 64",
        measured=f"states {states / 2**10:.0f} KiB, one step {one_step / 2**10:.0f} KiB, peak {whole / 2**10:.0f} KiB",
        threshold="states ≤ 2.2 · T n D floats; peak ≤ 1.2 · (states + one step)",
    )
    assert T * n * 2 * 4 <= states <= 2.2 * T * n * 2 * 4
    assert states < whole <= 1.2 * (states + one_step)
