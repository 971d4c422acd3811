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
        (
            "LoRA gets more reward than the control and overspends",
            "assert (arms.reward[:, lora] > arms.reward[:, control]).all()",
        ),
        ("several times the optimum's KL", 'assert nats["all t"][:, lora].min() > 2.5 * bank.at(digits.alpha).kl'),
        ("about half of it in the last five steps", "assert (late[:, lora].mean(0) - 0.5).abs().max() < 0.05"),
        (
            "a control spends about half as much in the last five steps",
            "assert (late[:, lora].mean(0) - 0.5).abs().max() < 0.05 and 0.4 < halved < 0.6",
        ),
        (
            "it moves about as much as the control",
            'assert 0.7 < nats["33 < t"][:, lora].mean() / nats["33 < t"][:, control].mean() < 1.4',
        ),
        (
            "only the first few, $t > 45$, much less",
            'assert nats["45 < t"][:, lora].mean() < 0.5 * nats["45 < t"][:, control].mean()',
        ),
        ("it does not stop there", "assert rewards[-1] > exact.reward + 0.5"),
    ],
    "06_2_value_weighted_sampling": [],
    "06_3_path_consistency": [],
    "06_digits": [],
}
