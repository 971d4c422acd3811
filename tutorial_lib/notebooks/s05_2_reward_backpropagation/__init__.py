"""The widgets and figures of notebooks/05_2_reward_backpropagation.ipynb."""
