"""Every sentence or title that says which is larger, nearest, first or alone, and the assertion that holds it.

STATEMENTS = {notebook: [(a piece of the sentence, as it stands, the assertion in a code cell of that notebook), …]}
"""

STATEMENTS: dict[str, list[tuple[str, str]]] = {
    "00_start_here": [],
    "01_1_diffusion_models": [
        ("The two ways of noising differ by chance alone", "assert largest < 4"),
        ("the running loss is within a few percent of it", "assert near_floor < 0.05"),
        (
            "the share that is missed falls as $t$ grows",
            "assert missed[2000][:10].mean() > 10 * missed[2000][25:].mean()",
        ),
        ("and yet the points land where the data are", "assert on_modes > 0.9"),
        ("With fresh noise a path wanders", "assert lengths[0] > 3 * lengths[1]"),
        ("which makes the comparison quieter", "assert floors_apart.mean() > floors.mean()"),
        ("and that floor is higher", "assert floors_apart.mean() > floors.mean()"),
        ("d = 0.4 lies between", 'assert to_data["SDE, d = 1"][5] < to_data["SDE, d = 0.4"][5] - 4 * spread'),
        (
            "At T = 50 and more all of them are in reach of exact samples",
            "assert all(d[T] < limit for d in to_data.values() for T in (50, 100))",
        ),
        (
            "Four curves fall from $T=5$ to 10 and on",
            "assert all(d[5] > d[10] > max(d[20], limit) for d in to_data.values())",
        ),
        ("agree with each other, and both are wrong", "assert twins[5] < limit_apart"),
        ("every guess is close to the mean of all digits", "assert spread_of_guesses[0] < 0.3 * spread_of_guesses[2]"),
    ],
    "01_2_why_reinforcement_learning": [],
    "02_entropy_regularized_mdps": [],
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
