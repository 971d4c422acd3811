"""Denoisers (x_t, t, label) → x̂_0: exact, learned, adapted, and how they are pretrained (§1.1)."""

from .exact import ExactDenoiser
from .lora import adapted, adapters, load_adapters, merged
from .mlp import MLP, MLPDenoiser, initial_weights, zero_at_start
from .prediction import PREDICTIONS, Denoiser, convert
from .pretraining import denoising_loss, pretrain
from .unet import UNetDenoiser

__all__ = [
    "MLP",
    "PREDICTIONS",
    "Denoiser",
    "ExactDenoiser",
    "MLPDenoiser",
    "UNetDenoiser",
    "adapted",
    "adapters",
    "convert",
    "denoising_loss",
    "initial_weights",
    "load_adapters",
    "merged",
    "pretrain",
    "zero_at_start",
]
