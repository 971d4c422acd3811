"""Every sentence or title that says which is larger, nearest, first or alone, and the assertion that holds it.

STATEMENTS = {notebook: [(a piece of the sentence, as it stands, the assertion in a code cell of that notebook), …]}
"""

STATEMENTS: dict[str, list[tuple[str, str]]] = {
    "00_start_here": [],
    "01_1_diffusion_models": [],
    "01_2_why_reinforcement_learning": [],
    "02_entropy_regularized_mdps": [],
    "03_denoising_as_an_mdp": [],
    "04_1_theory": [
        ("none of them outside the panels", "assert max(x_0.abs().max() for _, x_0 in ends.values()) < figures.SHOWN"),
        ("how many such dots the target expects", "assert abs(came - expected) < 4 * expected**0.5"),
        ("furthest apart by", "assert furthest < 0.002 * gain"),
        ("Monte Carlo agree within four standard errors", "assert len(off) == 100 and off.abs().max() < 4"),
        ("the *noise floor* that no sampler beats", "assert by_hand.value < by_hand.floor + 4 * by_hand.floor_sd"),
        (
            "no further from the target than two exact samples are from each other",
            "assert all(d.value < floor for d, floor in zip(exact_steps, floors, strict=True))",
        ),
        ("the same test refuses a wrong chain; in the others it only says", "assert 3 <= len(told) < 9"),
        (
            "no line at all",
            "assert off_line(tilted_start, exponent, before_0, 1) < 1e-6 and least_off > 0.3",
        ),
        ("By chance alone the largest of these 945 would be about 3.5", "assert misses.abs().max() < 5"),
        ("more where the value $v_t$ is higher", "assert (by_value.diff() > -1e-9 * by_value.max()).all()"),
        ("The chain of 20 steps above has other values", "assert 0.005 < max(differences.values()) < 0.2"),
        ("one cluster of eight is left", "assert seen(peak, 0.05, 15).kl < math.log(8) < seen(peak, 0.05, 10).kl"),
        ("There are none: at $t = 0$", "assert seen(disc, 0.5, 0).shift.abs().max() == 0"),
        ("the longest arrow is under a third", "assert 3 * longest[0] < longest[1]"),
        ("the ranks find no sign of fine-tuning", "assert off_back.max() < 2.3 < off_forth.max()"),
        ("They part from the first steps on", "assert 0.1 < distance[45] < distance[40] < distance[25] < distance[0]"),
        ("The smaller α is, the further", "assert in_the_end == sorted(in_the_end) and in_the_end[2] < 1.2"),
        ("reward, KL and $J^\\star$ all fall", "assert (falling < 0).all()"),
    ],
    "04_2_what_steps_can_reach": [
        (
            "the gap is in proportion to $\\bar\\alpha_T$",
            "assert ((gaps[:, 1] / gaps[:, 0] / 10).log().abs() < 0.25).all()",
        ),
        ("changes by less than a factor 1.65", "assert (gaps[0] / gaps[1]).log().abs().max() < 0.5"),
        ("it is below a thousandth of a nat", "assert max(by_length) < 1e-3"),
        ("so it lies a little higher, by less than 1 %", "assert max(map(abs, off)) < 0.01 * gain"),
        ("The family gap against T", "assert (torch.tensor(values).diff() < 0).all() and min(values) > 0"),
        ("What the best Gaussian policy loses at each t", "assert average == sorted(average)"),
        ("towards noise", "assert average == sorted(average) and average[-1] > average[0] + 0.5"),
        ("who has the smaller learning gap", "assert ahead.abs() > 4"),
        (
            "with modes further apart it is larger and lost earlier in the chain",
            "assert apart[1.0].family_gap < apart[2.0].family_gap < apart[3.0].family_gap",
        ),
        (
            "$J_G^\\star$ is attained; moment matching comes close and stays behind",
            "assert max(map(abs, kept)) < 4 < min(behind)",
        ),
        ("(a) The family gap.", "assert families == sorted(families, reverse=True)"),
        (
            "The start gap grows, and takes from both other parts",
            "assert starts[-1][0] < starts[0][0] and starts[-1][1] < starts[0][1]",
        ),
        ("loses twelve times as many nats there", "assert nats[0] > 12 * nats[1]"),
    ],
    "05_1_soft_ppo": [],
    "05_2_reward_backpropagation": [],
    "06_1_reward_weighted_mle": [],
    "06_2_value_weighted_sampling": [],
    "06_3_path_consistency": [],
    "06_digits": [],
}
