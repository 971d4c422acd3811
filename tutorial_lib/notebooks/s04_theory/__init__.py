"""The widgets and figures of notebooks/04_theory.ipynb."""
