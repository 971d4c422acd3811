"""The widgets and figures of notebooks/00_start_here.ipynb."""
