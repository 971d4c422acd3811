"""Worlds: data, schedule, pretrained policy, rewards and extent in one object, and policies tuned beforehand."""

from . import idx, shipped
from .catalogue import NAMES, make
from .digits import (
    described,
    digit_classifier,
    digit_images,
    digits,
    digits_bank,
    digits_rewards,
    few_labels,
    held_out,
    looped,
    optimal_standing,
    pretrained_standing,
)
from .files import images
from .plane import checkerboard, grid, islands, ring, spiral, two_moons
from .world import Device, World

__all__ = [
    "NAMES",
    "Device",
    "World",
    "checkerboard",
    "described",
    "digit_classifier",
    "digit_images",
    "digits",
    "digits_bank",
    "digits_rewards",
    "few_labels",
    "grid",
    "held_out",
    "idx",
    "images",
    "islands",
    "looped",
    "make",
    "optimal_standing",
    "pretrained_standing",
    "ring",
    "shipped",
    "spiral",
    "two_moons",
]
