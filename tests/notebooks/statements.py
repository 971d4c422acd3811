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
    "03_denoising_as_an_mdp": [],
    "04_1_theory": [],
    "04_2_what_steps_can_reach": [],
    "05_1_soft_ppo": [],
    "05_2_reward_backpropagation": [],
    "06_1_reward_weighted_mle": [],
    "06_2_value_weighted_sampling": [
        ("Whoever has more pays more KL for it than it is worth", 'assert earned["steered by Tweedie\'s guess"] >'),
        ("ends at the same 600 points and has paid the same", "assert difference < 1e-4"),
        (
            "the regret falls as $T$ grows, below 1 % at T = 50",
            "assert all((torch.tensor(line)[:, 0].diff() < 0).all()",
        ),
        ("the two places for ∇v cannot be told apart", "assert abs(at_fifty[plain][0] - at_fifty[cheap][0]) <"),
        ("at T = 10 the one that saves a pass is the better", "assert at_ten[smooth] < at_ten[cheap] < at_ten[plain]"),
        ("a slope several times too steep", "assert steeper[45] > 3 and steeper[30] > 3"),
        ("have more reward than the target", 'assert earned["steered by Tweedie\'s guess"] >'),
        ("Section 3 measured less regret at γ = ¼ than at ½", "assert gentler[0.25] < gentler[0.5] < first[0]"),
        ("The second is the larger, and the first had hidden a part of it", "assert averaged_out[0] > first[0]"),
        ("So the remedy must close the *second* gap", "assert several[64].mean() + 2 * several[64].std() <"),
        ("Clusters break it even for a linear $r$", 'assert min(costs["ring, linear, α = ½"],'),
        ("steers well where", 'assert costs["one Gaussian, linear, α = ½"] < 0.005 <'),
        (
            "Tweedie's error is large at high noise and closes as t → 0",
            'assert error["Tweedie"][45] > 1 > 0.1 > error["Tweedie"][5]',
        ),
        ("the learned values stay near at every t", "assert all(max(error[name][25:46]) < min(error"),
        ("the wrong sign is far worse than nothing", 'assert found["Tweedie"][0] > 0.1 and found["wrong sign"][0] > 1'),
        ("ends at the same 2000 points with the same mean weight", "assert (x_0 - library.x_0).abs().max() < 1e-3"),
        ("gets the mean right with more noise", 'assert off["systematic"] < off["multinomial"] / 2'),
        ("A wrong value is worse than none", 'assert all(mean["Tweedie"][i] > mean["none"][i] > mean["soft Q"][i]'),
        (
            "The exact value and the learned one need few particles, none at all some, Tweedie's guess more",
            'assert max(mean["exact v"][2], mean["soft Q"][2]) < 0.1 < mean["none"][2]',
        ),
        ("whatever the value, with fewer particles for a better one", "assert all(line[0] > 0.9 and line[4] < 0.15"),
        ("most of its ancestors die out", 'assert distance < 0.03 and ancestors["exact v"][-1] < 0.5'),
        (
            "Steering by a bad guess makes the crowd *worse* than selecting alone",
            'assert (reached["steered and selected"][1:] > reached["selected"][1:]).all()',
        ),
        ("repairs most of it even for one particle", 'assert max(reached[name][0] for name in ("tempered, too",'),
        ("with a good value sixteen candidates do", 'assert min(kept["exact v"][2], kept["soft Q"][2]) > 0.88'),
        ("256 bring about half of the particles inside", 'assert 0.4 < kept["Tweedie"].max() < 0.6'),
        (
            "its full strength pays more KL than the reward is worth",
            "assert gained > 0.55 - 2 * gained_se and lost < 0",
        ),
        (
            "that choosing on the way beats choosing at the end, 24 crowds do not show",
            'assert gained - attained["at the end"][0] < 3 * gained_se',
        ),
        ("lies far above $J^\\star$", "assert claimed > 3 * best"),
    ],
    "06_3_path_consistency": [],
    "06_digits": [],
}
