"""The widgets and figures of notebooks/05_1_soft_ppo.ipynb."""
