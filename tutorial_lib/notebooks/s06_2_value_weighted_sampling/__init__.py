"""The widgets and figures of notebooks/06_2_value_weighted_sampling.ipynb."""
