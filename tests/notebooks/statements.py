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
    "06_1_reward_weighted_mle": [
        ("One fit to them goes nearly all the way", "assert gone > 0.9"),
        (
            "One direction, and a little less noise with fresh $x_t$",
            "assert fresh_spread < own_spread and cosine > 0.99",
        ),
        ("the same gradient on average, with less noise", "assert fresh_spread < own_spread and cosine > 0.99"),
        ("where ESS falls below ten", "assert 0.2 < far_500 < 0.4 and far_2500 > far_500 / 2"),
        ("By less than a factor of two", "assert 0.2 < far_500 < 0.4 and far_2500 > far_500 / 2"),
        ("even at the coldest α", 'assert coldest["a peak on the ring", 500] < 0.2 * far_500'),
        ("no set of weights says less than 1", "assert (few.effective >= 1 - 1e-4).all()"),
        ("sixty times as many would be needed", "assert foretold[-1] < 1 / 60 and 1 < cold < 2"),
        (
            "An effective sample size to be believed grows as $n$ does",
            "assert (drawn / foretold)[:3].sub(1).abs().max() < 0.2 and (grown[:3] > 3).all()",
        ),
        ("At α = 3 offline loses less", "assert online[0] - offline[0] > spread[0][0] + spread[1][0]"),
        ("at α ≤ 0.2 online does", "assert (offline - online > spread[0] + spread[1])[3:].all()"),
        ("all three sample sizes fall on nearly one line", "assert (lost[1:] < 1.5 * lost[:-1]).all()"),
        ("With one, about a nat is lost", "assert 0.5 < lost[around_one].min() and lost[around_one].max() < 2.5"),
        (
            "offline's is largest at α = 3, where offline loses the fewest nats",
            'assert few.regret("offline").argmax() == 0 and offline.argmin() == 0',
        ),
        ("a hundred times longer for the cold target", "assert few.span[-1] > 100 * few.span[0]"),
        ("new samples carry on past it", 'assert few.regret("online")[-1] < 0.02 and (online < 0.5).all()'),
        ("On the ring the levels hardly differ", "assert max(regrets[name] for name in list(levels)[:3])"),
        ("even above $J_G^\\star$", "assert max(climbed) > best.optimum"),
        ("most of its regret is the family's", 'assert best.family_gap > 0.5 * regrets["learned"]'),
        ("even out as $p_\\theta$ improves", "assert effective[0] < 0.3 and effective[-1] > 0.6"),
        ("weighted MLE covers both; backprop and PPO pick one", "assert abs(right.loc - 1.9) < 0.1"),
        ("Each does well by its own measure and badly by the other", "assert divergences(picker)[1] < 0.8"),
        ("neither picked nor covered", "assert abs(trapped.loc) < 0.2"),
        ("it does not stop there", "assert rewards[-1] > exact.reward + 0.5"),
    ],
    "06_2_value_weighted_sampling": [],
    "06_3_path_consistency": [],
    "06_digits": [],
}
