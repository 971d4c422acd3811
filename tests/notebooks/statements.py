"""Every sentence or title that says which is larger, nearest, first or alone, and the assertion that holds it.

STATEMENTS = {notebook: [(a piece of the sentence, as it stands, the assertion in a code cell of that notebook), …]}
"""

STATEMENTS: dict[str, list[tuple[str, str]]] = {
    "00_start_here": [],
    "01_1_diffusion_models": [],
    "01_2_why_reinforcement_learning": [],
    "02_entropy_regularized_mdps": [],
    "03_denoising_as_an_mdp": [
        (
            "(c) Between α = 0.5 and 0.4 it ends on the island instead",
            "assert turned[0.2].kl.argmax() == 5 and turned[0.5].reward < 0.5 < 0.8 < turned[0.4].reward",
        ),
        (
            "its path KL is then about half a nat, where at α = 10 it was next to nothing",
            "assert turned[10.0].kl.sum() < 0.001 and 0.4 < turned[0.4].kl.sum() < 0.6",
        ),
        (
            "The analytic sum is the quieter one in three rows of four",
            'assert right == "it depends" and [name for name in policies if not noisier[name]]',
        ),
        (
            "The two sums have one mean.",
            "assert difference.mean().abs() < 4 * difference.std() / n**0.5",
        ),
        (
            "They differ by $\\sum_t u_t\\cdot z_t$, of variance",
            "assert (difference.var() / (2 * analytic.mean()) - 1).abs() < 0.15",
        ),
        ("No term is negative", "assert all(shows[name] < paid[name] for name in policies)"),
        (
            "The path's KL only bounds that of x_0.",
            "assert all(shows[name] < paid[name] for name in policies)",
        ),
        (
            "With Gaussian steps some is wasted, the difference in the second line",
            'assert abs(tight - target.kl) < 0.001 < shows["best Gaussian steps"]',
        ),
        (
            "The collapsed policy lies within a tenth of a nat of that floor",
            'assert floor - 0.1 < entropy(x_0["α = 0"]) < floor + 0.1',
        ),
        (
            "The exact optimum (orange) covers all three islands at every one of them",
            "assert (shares[:, [1, 4, 6]] > 0.05).all()",
        ),
        (
            "At α = 0.2 all three islands live",
            "assert (mode_shares(kept, mixture)[[1, 4, 6]] > 0.05).all() and entropy(kept) > 1",
        ),
        (
            "the run at 0.2 is further from its $J^\\star$",
            "assert missed[0.05] < missed[0.2]",
        ),
        (
            "Along the lines reward and KL fall as α grows, and entropy rises",
            "assert (gone.diff() < 0).all() and (back.diff() > 0).all()",
        ),
        (
            "with α too large the reward stays where it was",
            "assert abs(gain * 100 / variance - 1) < 0.02",
        ),
    ],
    "04_1_theory": [],
    "04_2_what_steps_can_reach": [],
    "05_1_soft_ppo": [],
    "05_2_reward_backpropagation": [],
    "06_1_reward_weighted_mle": [],
    "06_2_value_weighted_sampling": [],
    "06_3_path_consistency": [],
    "06_digits": [],
}
