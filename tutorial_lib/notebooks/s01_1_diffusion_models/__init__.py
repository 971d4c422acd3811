"""The widgets and figures of notebooks/01_1_diffusion_models.ipynb."""
