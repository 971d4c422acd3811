"""The widgets and figures of notebooks/02_entropy_regularized_mdps.ipynb."""
