r"""The worlds by name, as menus offer them."""

from .digits import digits
from .plane import checkerboard, grid, ring, spiral, two_moons
from .world import World

MAKERS = {make.__name__: make for make in (ring, grid, two_moons, spiral, checkerboard, digits)}
NAMES = tuple(MAKERS)


def make(name: str, **options) -> World:
    """The world of that name; `options` are its function's own. ValueError listing the known names for another."""
    if name not in MAKERS:
        raise ValueError(f"unknown world {name!r}; known: {', '.join(NAMES)}")
    return MAKERS[name](**options)
