"""The widgets and figures of notebooks/03_denoising_as_an_mdp.ipynb."""
