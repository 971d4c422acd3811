"""The sampling benchmarks: a floor is the network's own products, and a library that is not here costs one line."""

import importlib.util
from pathlib import Path

import pytest
import torch

from tutorial_lib.denoisers import MLPDenoiser


def loaded(name):
    file = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    return module


@pytest.fixture(scope="module")
def benchmark():
    return loaded("sampling")


@pytest.fixture(scope="module")
def denoiser(benchmark):
    return MLPDenoiser(benchmark.SCHEDULE)


def test_the_floor_is_the_product_of_all_the_layers(benchmark, denoiser):
    x = torch.ones(benchmark.PATHS, benchmark.DIM)
    network = denoiser.network
    with torch.no_grad():
        for layer in (network.first, network.second, network.third, network.last):
            x = torch.nn.functional.linear(x, layer.weight)
    assert torch.allclose(benchmark.matrix_products(network)(), x, atol=1e-5)


def test_what_is_not_installed_is_left_out_in_one_line(benchmark, denoiser, capsys):
    def nowhere_ddpm(_):
        raise AssertionError("there is no such library")

    samplers = benchmark.found((nowhere_ddpm,), denoiser)
    assert list(samplers) == ["matrix products", "rollout"]
    assert capsys.readouterr().out.splitlines() == ["nowhere is left out: No package metadata was found for nowhere"]


@pytest.mark.parametrize("maker", ["diffusers_ddpm", "azula_ddpm"])
def test_another_library_draws_from_the_same_chain(benchmark, denoiser, maker):
    """Up to the variance of a step, so roughly."""
    pytest.importorskip(maker.partition("_")[0])
    theirs, ours = getattr(benchmark, maker)(denoiser)(), benchmark.ours(denoiser)()
    assert theirs.shape == ours.shape
    assert torch.allclose(theirs.mean(0), ours.mean(0), atol=0.15) and torch.allclose(
        theirs.std(0), ours.std(0), rtol=0.1
    )


def test_the_floor_of_images_is_every_convolution_at_its_shape():
    torch.manual_seed(0)
    last = torch.nn.Conv2d(2, 1, 3, stride=2)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.AvgPool2d(2), last)
    x, calls = torch.randn(3, 1, 8, 8), []
    floor = loaded("image_sampling").convolutions(network, lambda: calls.append(network(x)), 2)
    expected = torch.nn.functional.conv2d(network[:2](x), last.weight, stride=2)
    assert torch.allclose(floor(), expected) and len(calls) == 1


def test_every_way_to_sample_images_draws_digits():
    ways = loaded("image_sampling").samplers(2)
    floor, first, *others = (sample() for sample in ways.values())
    assert floor.shape == first.shape == (2, 1, 8, 8)
    for x, name in zip(others, list(ways)[2:], strict=True):
        if "glimpse" not in name:
            assert torch.allclose(x, first, atol=0.3 if name == "bfloat16" else 1e-3), name
