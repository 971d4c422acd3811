"""The widgets and figures of notebooks/06_digits.ipynb."""
