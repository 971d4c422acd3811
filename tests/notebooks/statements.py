"""Every sentence or title that says which is larger, nearest, first or alone, and the assertion that holds it.

STATEMENTS = {notebook: [(a piece of the sentence, as it stands, the assertion in a code cell of that notebook), …]}
"""

STATEMENTS: dict[str, list[tuple[str, str]]] = {
    "00_start_here": [],
    "01_1_diffusion_models": [],
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
