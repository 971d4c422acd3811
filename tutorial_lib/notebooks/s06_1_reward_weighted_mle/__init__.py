"""The widgets and figures of notebooks/06_1_reward_weighted_mle.ipynb."""
