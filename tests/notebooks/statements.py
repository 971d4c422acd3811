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
    "06_2_value_weighted_sampling": [],
    "06_3_path_consistency": [
        ("the cloud ends a little to the right", "assert right[0] < 0.1 < right[1]"),
        ("zero at the exact pair, whoever drew the path; not zero elsewhere", "assert high < 1e-4"),
        ("tells about how large the regret is", "assert abs(predicted / gap - 1) < 0.5"),
        ("the weights that come out should be the same to rounding", "assert difference < 1e-3 * moved"),
        ("to within two percent of the ring's optimum", "assert soft.regret(report) <= 0.02 and learned <= 0.015"),
        ("news of the reward travels slowly", 'assert max(first, key=first.get) == "step"'),
        (
            "both sides are one number",
            "assert all(abs(theirs - ours) < 1e-5 * abs(ours) for theirs, ours in pairs.values())",
        ),
        (
            "They are *different* losses from line to line",
            "assert abs(detailed_balance() / trajectory_balance(log_Z) - 1) > 0.05",
        ),
        (
            "alone path consistency learns, on every seed",
            "assert whole[study.CONSISTENCY].regrets.max() < 0.15",
        ),
        (
            "PPO with its clip stays where it was; without the clip a few enormous weights throw it out",
            "assert whole[study.PPO].regrets.min() > 0.4 and whole[study.UNCLIPPED].regrets.min() > 1",
        ),
        (
            "where it ignores the mismatch it learns something, but less",
            "assert whole[study.CONSISTENCY].regrets.max() < whole[study.IGNORED].regrets.min()",
        ),
        ("with small batches and a cold α one seed ran away", "assert small[0].max() > 1 > 5 * small[1].max()"),
        (
            "VarGrad, cold and on nothing else, runs away on all seeds",
            "assert small[0].max() > 1 > 5 * small[1].max() and whole_paths[3].min() > 1 > 5 * whole_paths[:3].max()",
        ),
        ("At the usual size a fifth is level with none", "assert abs(calm[0] - calm[1]) < 0.005"),
        ("the equation is asked more often", 'assert lowest == "all old paths"'),
        (
            "and none of the others finds it",
            'assert ways.pop("a fifth from the shelf").min() > 10 * max(inside.max() for inside in ways.values())',
        ),
        ("its memory *must* grow with $T$", "assert backprop.kept[1] > 4 * backprop.kept[0]"),
        (
            "their applied α is about twice the one asked for",
            'assert max(off["soft_ppo"], off["reward_backprop"]) > 2 * max(off["reward_weighted_mle"], '
            'off["path_consistency"])',
        ),
        ("with this rough $v$ it tilts too far", 'assert costs["value_weighted"].tilt[0] < 0.8 * short.alpha'),
        ("raise the ink beyond its noise", "assert gained > 0.35 - 2 * noise and above < 3 * error and rise > 5"),
    ],
    "06_digits": [
        (
            "with an honest error bar",
            "assert 0.6 < estimates.std().item() / (error * 32**0.5) < 1.6",
        ),
        (
            "Two lines level off instead",
            'assert all(sizes[name][0] > 0.8 * sizes[name][10] for name in ("compressed_size", "log_probability"))',
        ),
        ("for ink it stops knowing it not far below", "assert 0.5 < where < 0.7"),
        (
            "The black box rises furthest, and yet stays furthest below its own frontier",
            'assert max(rises, key=rises.get) == max(below, key=below.get) == "compressed_size"',
        ),
        (
            "it is far smaller than what is missing",
            'assert max(noises, key=noises.get) == "compressed_size" and noises["compressed_size"] < 0.2 '
            "< 1 - reached[behind]",
        ),
        (
            "attains less of it than plain choosing would",
            'assert chosen > 0.75 and results["compressed_size"].gained[0] < chosen',
        ),
        ("No point lies above the frontier by more than its error bars", "assert above < 3 * bar"),
        (
            "draws almost only zeros, where the optimum keeps ones and eights",
            'assert narrow == ["symmetry"] and results["symmetry"].after.classes '
            '< results["symmetry"].optimum.classes - 0.2',
        ),
        (
            "its KL might: it is above the optimum's",
            'assert results["symmetry"].after.kl > results["symmetry"].optimum.kl',
        ),
        (
            "its classes are *more* varied than its optimum's",
            'assert max(wider, key=wider.get) == "log_probability" and wider["log_probability"] > 4',
        ),
        (
            "No other is narrower than its optimum by more than its error",
            'assert all(z > -2 for name, z in wider.items() if name != "symmetry")',
        ),
        (
            "At the default α the same settings leave the model healthy",
            "assert min(ink[0], loops[0]) >= lowest and max(ink[1], loops[1]) <= furthest",
        ),
        (
            "Both failures lose the variety, and both leave the data",
            "assert max(hacked[0], collapsed[0]) < lowest and min(hacked[1], collapsed[1]) > furthest",
        ),
        (
            "which the *learned* reward puts above its own optimum",
            'assert scores[3] > results["few_labels"].optimum.reward > scores[2]',
        ),
        (
            "Our library's cost more than a full copy",
            "assert lora > 1.3 * full and 0.9 * full < thin < 1.1 * full",
        ),
        ("LoRA trains at most 10 % as many parameters", "assert share <= 0.1"),
        ("all three ways learn, on every seed", "assert all(regrets.max() < 1 for regrets in ways.values())"),
        (
            "the model draws mostly eights, and both judges agree",
            'assert min(eights["tuned"].read, eights["tuned"].nearest) > 0.6',
        ),
        (
            "Guidance by the label makes eights, too, and less varied ones",
            "assert all(guided[1.0].distance < guided[0.0].distance for guided in (free, climbed))",
        ),
        (
            "and the other judge far less",
            "assert climbed[2.0].read > 0.85 and climbed[2.0].nearest < climbed[2.0].read - 0.2",
        ),
    ],
}
