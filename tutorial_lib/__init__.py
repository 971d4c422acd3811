"""An interactive companion to fine-tuning diffusion models with reinforcement learning (arXiv 2407.13734)."""

__version__ = "0.1.0"
