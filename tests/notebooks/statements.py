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
        ("(b) Between 0.2 and 0.3", "assert max(by_strength[1:3]) < min(by_strength[0], *by_strength[3:])"),
        ("(c) Nothing", "assert on_disc.kl == 0"),
        (
            "Tweedie's guess leans harder than it was asked to, and the trained networks a little less",
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
        ("where fewer do, it is less than half of that", "assert times[0.032] < 1.3 and times[0.0125] > 2"),
    ],
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
    "05_1_soft_ppo": [
        ("points where the reward's own gradient does", "assert cosine >= 0.99"),
        (
            "The best simple choice is what was to be expected anyway",
            "assert needed > 150 and (plain > level).all()",
        ),
        (
            "In the short training λ = 0.9 beats the default 0.99, by little and from each of the ten seeds",
            'assert least == "λ = 0.9" and (short_race.regrets["λ = 0.9"] < short_race.regrets["λ = 0.99"]).all()',
        ),
        ("In a whole one 0.9, 0.99 and 1 are level", "assert max(map(abs, level)) < 2"),
        (
            "without a value network the regret is larger by more than half",
            'assert max(map(abs, level)) < 2 and whole_race.mean("no value network") > 1.5',
        ),
        ("So a step near the noise needs the critic", 'assert right == "near the noise" and ahead[8:].all()'),
        ("one near the data does better with what really happened", 'assert right == "near the noise"'),
        (
            "The return no longer depends on luck",
            'assert last < 0.1 * first and last < 0.5 * spreads["averaged"][-1]',
        ),
        ("The exact KL in the return is all but lost", "assert lost < 0.05 and min(cured) > 0.9"),
        ("Either cure works", "assert lost < 0.05 and min(cured) > 0.9"),
        (
            "once a step has gained enough, or lost enough, the clip takes away the incentive",
            "assert (slopes[0] != 0).tolist() == [True, True, True, False]",
        ),
        ("It never blocks the way *back*", "assert (slopes[1] != 0).tolist() == [False, True, True, True]"),
        ("The whole loop", "assert apart < 1e-3 < 0.03 < moved"),
        (
            "One ratio moves $x_0$ by no more than its own small step; the product gets the mean right",
            "assert abs(by_path - goal_mean) < 0.1 and by_action < 0.1 < 0.9 < goal_mean",
        ),
        ("at its defaults soft PPO ends within 2 %", "assert regret <= 0.02 and gap <= 0.015"),
        (
            "while at first most of its true ratios are outside",
            'assert outside["stored"].double().mean() > 0.5 and sum(shares) / len(shares) > 0.05',
        ),
        (
            "once a run is stuck, even the true share is small",
            'assert 200 < peak["the slip"] < 20 * 5**2 / 2 and runs["the slip"][-1].extra["clipped"] < 0.1',
        ),
        (
            "The true ratio without a clip overshot in this run and came back",
            'assert peak["PPO"] < 4 < 2 * peak["PPO"] < peak["no clip"] and runs["no clip"][-1].kl < 4',
        ),
        ("where there is nothing to differentiate, PPO optimises all the same", "assert gradient == 0 and disc_regret"),
        ("here there are none", "assert in_disc < 10"),
        (
            "at more nats than the optimum pays and with much of $J^\\star$ still to gain",
            "assert report.reward > 0.8 and 0.05 < report.objective < goal.objective - 0.1 and report.kl > goal.kl + 1",
        ),
        (
            "(a) At iteration 3, at twice the optimum's KL. (b) It never goes far past it.",
            "assert kl[1.0].argmax() == 1 and kl[1.0].max() > 2 * optimal and kl[0.1].max() < 1.5 * optimal",
        ),
        (
            "(c) After all eighteen iterations the regret is still larger than clip 0.1 left after six.",
            "assert regret_of[0.01][-1] > regret_of[0.1][2]",
        ),
        ("Blue lies below the frontier", "assert share - 2 * doubt > 0.25 and above + 3 * error < 0"),
    ],
    "05_2_reward_backpropagation": [],
    "06_1_reward_weighted_mle": [],
    "06_2_value_weighted_sampling": [],
    "06_3_path_consistency": [],
    "06_digits": [],
}
