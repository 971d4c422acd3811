"""Every sentence or title that says which is larger, nearest, first or alone, and the assertion that holds it.

STATEMENTS = {notebook: [(a piece of the sentence, as it stands, the assertion in a code cell of that notebook), …]}
"""

STATEMENTS: dict[str, list[tuple[str, str]]] = {
    "00_start_here": [
        ("No method lies above the frontier", "assert report.objective < soft.optimum + 4 * report.objective_se"),
        ("their $J^\\star$ is the same to a hundredth", "assert abs(by_samples - closed_form) < 4 * error"),
        (
            "and everything lies below it",
            "assert all((rewards <= here.reward + a * (kls_there - here.kl) + 1e-6).all()",
        ),
        ("all fall as α grows", "assert (rewards.diff() < 0).all() and (kls_there.diff() < 0).all()"),
        (
            "And it is the worse method",
            "assert tweedie.kl > 3 * exact_v.kl and tweedie.regret > 0.3 > 0.05 > exact_v.regret",
        ),
        (
            "The mode nearest to the peak has nearly all of the mass",
            "assert shares[0] > 0.9 and shares[:2].sum() > 0.99",
        ),
        (
            "The first steps push several times too hard, the last ones as they should",
            "assert push[50] > 5 and push[1] < 1.1",
        ),
        ("(b) Between 0.2 and 0.3", "assert max(by_strength[1:3]) < min(by_strength[0], *by_strength[3:])"),
        ("(c) Nothing", "assert on_disc.kl == 0"),
        (
            "Tweedie's guess leans harder than it was asked to, and each of the trained networks less",
            "assert all(applied[method].alpha > 0.5 for method in study.TRAINED)",
        ),
        ("loses less than one and a half percent", "assert results[0.5][0].regret(results[0.5][1]) < 0.015"),
        ("at a large α there is less to gain", "assert (torch.tensor([p.objective for p in points]).diff() < 0).all()"),
        ("is at most three percent of the possible gain", "assert (gaps < 0.03 + 2 * noise).all()"),
        ("there are fewer and fewer grey samples", "assert counted[1.0] > counted[0.05] > counted[0.02]"),
        (
            "few pretrained digits have that much",
            "assert ink.at(0.02).reward > ink.rewards.mean() + 1.8 * ink.rewards.std()",
        ),
        ("it draws a little more ink", "assert quick.mean() > r.mean()"),
        ("wins more than half of what there is to win", "assert 0.5 < share < 1 + 4 * error"),
        ("lifts the ink by more than one", "assert standing[0.02][0].mean() - before > frontier_of_ink.rewards.std()"),
        ("the error told is less than half of the error made", "assert times[0.032] < 1.3 and times[0.0125] > 2"),
    ],
    "01_1_diffusion_models": [
        ("The two ways of noising differ by chance alone", "assert largest < 4"),
        ("the running loss is within a few percent of it", "assert near_floor < 0.05"),
        (
            "the share that is missed falls as $t$ grows",
            "assert missed[2000][:10].mean() > 10 * missed[2000][25:].mean()",
        ),
        ("and yet the points land near the modes", "assert on_modes > 0.9 and between(cloud) < 0.15"),
        ("Some more are left between them", "assert between(learned_x_0) > between(path.x_0)"),
        (
            "wanders, {lengths[0] / lengths[1]:.0f} times as far, and forgets its start",
            "assert lengths[0] > 3 * lengths[1] and abs(kept - 1 / 8) < 0.03",
        ),
        ("Yet d = 1 leaves more points in the", "assert radius[0] < radius[1] - 0.05 < radius[2] - 0.05"),
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
