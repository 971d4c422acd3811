"""The widgets and figures of notebooks/01_2_why_reinforcement_learning.ipynb."""
