"""Every sentence or title that says which is larger, nearest, first or alone, and the assertion that holds it.

STATEMENTS = {notebook: [(a piece of the sentence, as it stands, the assertion in a code cell of that notebook), …]}
"""

STATEMENTS: dict[str, list[tuple[str, str]]] = {
    "00_start_here": [],
    "01_1_diffusion_models": [],
    "01_2_why_reinforcement_learning": [],
    "02_entropy_regularized_mdps": [
        ("might as well be blind", "assert three[5.0].kl < 0.01 < three[0.2].kl < three[0.01].kl"),
        ("none may exceed $v$", "assert (attained - (v - lost)).abs().max() < 1e-12 and (attained < v).all()"),
        ("The soft maximum lies between", "assert (ref * q).sum() < v < q.max()"),
        ("divided within 10⁻⁶, plain still above 10⁻³", "assert divided < 1e-6 and 1e-3 < plain"),
        ("a larger rate shakes the rest", 'assert (runs["plain, rate 10/α"].diff() < 0).any()'),
        ("It is there after at most $T$ rounds", "assert (rounds.diff() > -1e-12).all() and abs(rounds[-1]"),
        ("it too never passes $J^*$", "assert all((heights < solution.values[0, 0] + 1e-12).all()"),
        ("find the same policy, and its $J$ is the soft value", "assert worst < 1e-6"),
        ("walk by walk", "assert len(tilted) == 4**5 and error < 1e-10"),
        ("off every line", "assert on_tilt > 1 and on_any > 1"),
        ("every dot is back on the line", "assert (height - (walks.returns - solved.values[0, 0] - luck)).abs().max()"),
        ("is more than any policy's $J$", "assert (promises - optima - costs).abs().max() < 1e-12"),
        (
            "$J^\\star$ falls, while the tilt's promise hardly moves",
            "assert (optima.diff() < -0.09).all() and promises.max()",
        ),
        ("further from it the more slip there is", "assert distances[0] < 1e-10 and (distances.diff() > 0.01).all()"),
        ("falls all the way", "assert (values.diff() < 0).all()"),
        ("with slope −KL", "assert ((slope + kls)[1:-1].abs() < 0.02 * kls[1:-1]).all()"),
        ("it hugs the pits; with slip 0.1 it spends more time one row higher", "assert visits[0.0][:, 2].sum() <"),
        ("Between 0.2 and 0.25", "assert at_goal[0] > 0.5 > at_goal[1]"),
        ("for more than half of its steps", "assert visits[0.5][0].sum() > 6"),
        ("a total variation above one half at slip 0.2", "assert distances[3] > 0.5"),
    ],
    "03_denoising_as_an_mdp": [],
    "04_1_theory": [],
    "04_2_what_steps_can_reach": [],
    "05_1_soft_ppo": [],
    "05_2_reward_backpropagation": [],
    "06_1_reward_weighted_mle": [],
    "06_2_value_weighted_sampling": [],
    "06_3_path_consistency": [],
    "06_digits": [],
}
