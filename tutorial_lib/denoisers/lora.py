r"""Low-rank adapters (LoRA, Hu et al. 2021): tune a big network by adding a product of thin matrices to its weights.

    W_θ = W + s B A,   W [out, …] frozen,   A [rank, …],   B [out, rank],   B = 0 at the start

so that the tuned network begins as the pretrained one, and what is tuned and shipped is A and B alone. A convolution's
W [out, in, k, k] counts as a matrix [out, in·k·k]. Gated adapters, W + s B diag(C φ) A, add as much as features φ of a
condition say, such as powers of log α: one network for all of them, and plain weights again at any one.
"""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..checks import count, positive

Network = TypeVar("Network", bound=nn.Module)


class LowRank(nn.Module):
    """A frozen layer with W + s B A for its W [out, …]; A ~ N(0, 1/in) by the generator, B = 0.

    The rank is at most out and in, where B A can already be any matrix.
    """

    def __init__(self, layer: nn.Module, rank: int, scale: float, *, generator: torch.Generator):
        super().__init__()
        weight = layer.get_parameter("weight")
        outputs, inputs = weight.shape[0], weight[0].numel()
        rank = min(rank, outputs, inputs)
        self.layer, self.scale = layer.requires_grad_(False), scale
        a = torch.randn(rank, inputs, device=weight.device, generator=generator)
        self.A = nn.Parameter(a.to(weight) / inputs**0.5)
        self.B = nn.Parameter(weight.new_zeros(outputs, rank))

    @property
    def weight(self) -> Tensor:
        """W + s B A, in W's shape: a property, for modules such as attention read it off their layers."""
        frozen = self.layer.get_parameter("weight")
        return frozen + self.scale * (self.B @ self.A).view_as(frozen)

    @property
    def bias(self) -> Tensor | None:
        """The frozen layer's own."""
        return dict(self.layer.named_parameters()).get("bias")

    def forward(self, x: Tensor) -> Tensor:
        return functional_call(self.layer, {"weight": self.weight}, (x,))

    @torch.no_grad()
    def plain(self) -> nn.Module:
        """The layer with W + s B A written into its weight."""
        layer = copy.deepcopy(self.layer)
        layer.get_parameter("weight").copy_(self.weight)
        return layer


class GatedLowRank(LowRank):
    """A frozen layer with W + s B diag(C φ) A, C [rank, K] the same for all φ, C φ = φ_0 at the start.

    `features`: φ [K], the same for all samples.
    """

    def __init__(self, layer: nn.Module, rank: int, scale: float, *, features: int, generator: torch.Generator):
        super().__init__(layer, rank, scale, generator=generator)
        self.C = nn.Parameter(self.B.new_zeros(len(self.A), count("features", features)))
        nn.init.ones_(self.C[:, 0])
        self.features = self.C.new_zeros(features)

    @property
    def weight(self) -> Tensor:
        """W + s B diag(C φ) A, in W's shape."""
        frozen = self.layer.get_parameter("weight")
        return frozen + self.scale * (self.B * (self.C @ self.features) @ self.A).view_as(frozen)


def adapted(
    network: Network, rank: int = 4, *, scale: float = 1.0, features: int = 0, generator: torch.Generator
) -> Network:
    """A copy of `network` with an adapter on every nn.Linear and nn.Conv2d, and nothing else to tune.

    `network` itself is left as it is. scale is s: with Adam, what a learning rate is worth. features: K, which makes
    them gated ones.
    """
    rank, scale = count("rank", rank), positive("scale", scale)
    if any(isinstance(module, LowRank) for module in network.modules()):
        raise ValueError(f"this {type(network).__name__} has adapters already; merge them first: merged(network)")
    tuned = copy.deepcopy(network).requires_grad_(False)
    plan: dict[str, Any] = dict(generator=generator) | (dict(features=features) if features else {})
    kind = GatedLowRank if features else LowRank
    _replace(tuned, nn.Linear | nn.Conv2d, lambda layer: kind(layer, rank, scale, **plan))
    if not adapters(tuned):
        raise ValueError(f"expected a network with nn.Linear or nn.Conv2d layers inside, got {type(network).__name__}")
    return tuned


def adapters(network: nn.Module) -> dict[str, Tensor]:
    """The A and B (and C) of every adapter by name: all that there is to save."""
    found = {name: module for name, module in network.named_modules() if isinstance(module, LowRank)}
    own = {name: module.named_parameters(recurse=False) for name, module in found.items()}
    return {f"{name}.{key}": p for name, parameters in own.items() for key, p in parameters}


def gate(network: nn.Module, features: Tensor) -> None:
    """Tell every gated adapter of `network` the features φ [K]."""
    for module in network.modules():
        if isinstance(module, GatedLowRank):
            module.features = features


@torch.no_grad()
def load_adapters(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put saved adapters in place. ValueError, and nothing changed, where names or shapes are not this network's."""
    own = adapters(network)
    if unlike := sorted(set(own) ^ set(tensors)):
        raise ValueError(
            f"expected the {len(own)} adapter tensors of this network, got {len(tensors)}: see {unlike[0]}"
        )
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise ValueError(f"expected {name} of shape {list(own[name].shape)}, got {list(tensor.shape)}")
    for name, tensor in tensors.items():
        own[name].copy_(tensor)


def merged(network: Network) -> Network:
    """A copy with every W + s B A written into plain weights: the same function under the pretrained names."""
    found = [module for module in network.modules() if isinstance(module, LowRank)]
    return copy.deepcopy(network, {id(module): module.plain() for module in found})


def _replace(network: nn.Module, kind: Any, change: Callable[[Any], nn.Module]) -> None:
    """Put change(layer) in the place of every layer of that kind inside `network`."""
    changed: dict[nn.Module, nn.Module] = {}  # a layer that stands in two places stays one
    for parent in list(network.modules()):
        for name, layer in list(parent._modules.items()):  # named_children would leave the second place out
            if isinstance(layer, kind):
                if layer not in changed:
                    changed[layer] = change(layer)
                setattr(parent, name, changed[layer])
