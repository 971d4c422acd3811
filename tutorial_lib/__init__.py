"""An interactive companion to fine-tuning diffusion models with reinforcement learning (arXiv 2407.13734)."""

import torch

__version__ = "0.1.0"


def device() -> torch.device:
    """The accelerator where there is one, else the CPU: asked once, at the top of a notebook."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
