r"""A world of images of your own, from an IDX file."""

import os

import torch

from .. import rewards
from ..checks import count
from ..denoisers import UNetDenoiser, initial_weights
from ..schedules import NoiseSchedule
from . import idx
from .world import Choice, Device, World, draw, make_world


def images(
    path: str | os.PathLike,
    *,
    T: int = 50,
    classes: int = 10,
    generator: torch.Generator | None = None,
    device: Device = None,
) -> World:
    """Grey images from an IDX file (MNIST, Fashion-MNIST; plain or gzip) and a UNet of their size, not yet trained:

        world = worlds.images("train-images-idx3-ubyte.gz")
        found, labels = worlds.idx.labelled("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
        found, labels = found.to(device), labels.to(device)  # the generator, too, lives on that device
        for step in denoisers.pretrain(world.pretrained.denoiser, found, labels=labels, steps=20_000, batch=128, …): ...
        world.pretrained.requires_grad_(False)

    classes: how many labels there may be. generator: draws the first weights; None is the same ones every time.
    Each reward's α is 0.6 of its standard deviation over the first 1000 images.
    """
    found = idx.images(path)
    if len(found) < 2:
        raise ValueError(f"expected at least 2 images in {path}, got {len(found)}")
    height, width = found.shape[2:]
    with initial_weights(0 if generator is None else generator):
        schedule, classes = NoiseSchedule.cosine(T, device=device), count("classes", classes, least=0)
        denoiser = UNetDenoiser(schedule, (height, width), classes=classes)
    denoiser = denoiser.to(device)
    offered = (rewards.ink, rewards.symmetry, rewards.compressed_size)
    spreads = [reward(found[:1000]).std().item() for reward in offered]
    if not min(spreads) > 0:
        raise ValueError(f"expected images that differ in ink, symmetry and size, got {path}, where one is constant")
    chosen: Choice = {reward.__name__: (reward, 0.6 * std) for reward, std in zip(offered, spreads, strict=True)}
    return make_world("images", denoiser, chosen, data=lambda n, *, generator: draw(found, n, generator))
