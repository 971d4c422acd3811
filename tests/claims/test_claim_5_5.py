"""What the backward pass keeps in memory: bytes of the tensors that autograd saves, against T."""

from functools import partial

from tutorial_lib import metrics
from tutorial_lib.algorithms import reward_backprop
from tutorial_lib.denoisers import UNetDenoiser, adapters
from tutorial_lib.policies import RetunedPolicy, SteeredPolicy

from ..oracles import RING_REWARD, ring
from .digit_chains import beginner, digits

CLAIM = dict(
    number="5.5",
    section="§5.2",
    statement="Memory of reward backpropagation: full grows linearly in T, gradient checkpointing cuts it by ≥ 3 × at "
    "T = 200, truncation to the last K steps makes it constant; LoRA trains ≤ 10 % as many parameters as the image "
    "model has",
    notebook="05_2_reward_backpropagation",
    function="tutorial_lib.algorithms.reward_backprop.sample",
)
DEPTHS = (25, 50, 100, 200)
saved_bytes, peak_bytes = (
    partial(count, sample=reward_backprop.sample) for count in (metrics.saved_bytes, metrics.peak_bytes)
)


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


def test_claim_5_5_on_digits_lora_is_small(claim):
    """By hand: an adapter of rank 4 on a weight [out, in, k, k] is 4 (out + in k²) numbers, fewer where out < 4."""
    policy, rank = beginner("ink"), 4
    assert isinstance(policy, RetunedPolicy) and isinstance(policy.denoiser, UNetDenoiser)
    pretrained = digits("ink").pretrained
    matrices = [
        (p.shape[0], p[0].numel())
        for name, p in pretrained.named_parameters()
        if name.endswith("weight") and p.ndim in (2, 4) and ".label." not in name  # the label's table is no layer
    ]
    by_hand = sum(min(rank, out, inside) * (out + inside) for out, inside in matrices)
    trained = sum(p.numel() for p in policy.parameters() if p.requires_grad)
    whole = sum(p.numel() for p in pretrained.parameters())
    kept = {how: peak_bytes(beginner("ink", how), digits("ink").reward, n=4) / 2**20 for how in ("lora", "full")}
    checkpointed = peak_bytes(policy, digits("ink").reward, n=4, checkpointed=True) / 2**20
    claim.record(
        label="digits, LoRA of rank 4, T = 50, n = 4",
        measured=f"{trained:,} of {whole:,} parameters, {trained / whole:.1%}; kept for the way back: LoRA "
        f"{kept['lora']:.1f} MiB, full copy {kept['full']:.1f} MiB, LoRA checkpointed {checkpointed:.1f} MiB",
        threshold="≤ 10 %, as counted by hand; checkpointing ≥ 3 × less",
    )
    assert trained == by_hand == sum(p.numel() for p in adapters(policy.denoiser).values())
    assert trained <= 0.1 * whole and kept["lora"] >= 3 * checkpointed
