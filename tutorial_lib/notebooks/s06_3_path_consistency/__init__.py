"""The widgets and figures of notebooks/06_3_path_consistency.ipynb."""
