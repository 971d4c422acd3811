r"""A chain of points on a line as matrices: every law, value and optimum by plain sums (§4).

    kernels[t][i, j] = p_pre(x_{t−1} = axis_j | x_t = axis_i) ∝ N(axis_j; ρ(axis_i, t), σ_t²),   rows sum to one

That is a Markov chain on n points in its own right, so the theorems hold for it to rounding.
Shapes: functions and laws of x_t are [n]; those of every t are [T+1, n], with row t for x_t. float64.
"""

import torch
from torch import Tensor

from ..checks import count, positive
from ..policies import DenoisingPolicy


class LineChain:
    """A pretrained chain in one dimension on n points of [−extent, extent].

    Attributes: axis [n], spacing, T, sigma [T+1], means ρ [T+1, n], kernels [T+1, n, n] (row 0 unused and the
    identity), start [n]: the masses of x_T ~ N(0, 1). ValueError unless the data are numbers and σ_1 spans a cell.
    """

    def __init__(self, pretrained: DenoisingPolicy, *, extent: float, n: int = 361):
        if tuple(pretrained.shape) != (1,):
            raise ValueError(f"a chain on a line needs data of shape [1], got {list(pretrained.shape)}")
        self.axis = torch.linspace(-1, 1, count("n", n, least=8), dtype=torch.float64) * positive("extent", extent)
        self.spacing, self.T = 2 * float(extent) / (n - 1), pretrained.schedule.T
        self.sigma = pretrained.schedule.sigma.double()
        if self.spacing > self.sigma[1]:
            raise ValueError(f"cells of {self.spacing:.2g} are too wide for σ_1 = {float(self.sigma[1]):.2g}: raise n")
        x = self.axis.float().unsqueeze(1)
        with torch.no_grad():
            means = [pretrained.mean(x, t)[:, 0].double() for t in range(1, self.T + 1)]
        self.means = torch.stack([self.axis, *means])
        self.kernels = torch.stack([torch.eye(n).double(), *(self.steps(t, self.means[t]) for t in self.times)])
        self.start = (-self.axis.square() / 2).softmax(0)

    @property
    def times(self) -> range:
        """1, 2, …, T."""
        return range(1, self.T + 1)

    def steps(self, t: int, means: Tensor) -> Tensor:
        """Gaussian steps N(means, σ_t²) as masses: [n] → [n, n]."""
        return (-((self.axis - means[:, None]) / self.sigma[t]).square() / 2).softmax(1)

    def forward(self, start: Tensor, kernels: Tensor) -> Tensor:
        """The laws of x_T … x_0 from masses [n] of x_T, through kernels [T+1, n, n]: [T+1, n]."""
        laws = [start]
        for t in reversed(self.times):
            laws.append(laws[-1] @ kernels[t])
        return torch.stack(laws[::-1])

    def ahead(self, t: int) -> Tensor:
        """p_pre(x_0|x_t) as masses: [n, n]."""
        found = self.kernels[0]
        for s in range(1, t + 1):
            found = self.kernels[s] @ found
        return found

    def at_expected(self, reward: Tensor, t: int) -> Tensor:
        """r(E[x_0|x_t]), linear between the points: r [n] → [n]."""
        place = (self.ahead(t) @ self.axis - self.axis[0]) / self.spacing
        cell = place.floor().long().clamp(0, len(reward) - 2)
        return reward[cell] + (place - cell) * (reward[cell + 1] - reward[cell])

    def soft_values(self, reward: Tensor, alpha: float) -> Tensor:
        """v_0 … v_T by the soft Bellman recursion: r [n] → [T+1, n]."""
        v = [reward.double()]
        for t in self.times:
            top = v[-1].max()
            v.append(top + alpha * (self.kernels[t] @ ((v[-1] - top) / alpha).exp()).log())
        return torch.stack(v)

    def optimal_kernels(self, v: Tensor, alpha: float) -> Tensor:
        """p*(x_{t−1}|x_t) = p_pre(x_{t−1}|x_t) exp((v_{t−1} − v_t)/α): v [T+1, n] → [T+1, n, n]."""
        gain = (v[:-1].unsqueeze(1) - v[1:].unsqueeze(2)) / alpha
        return torch.cat([self.kernels[:1], self.kernels[1:] * gain.exp()])

    def gaussian_values(self, reward: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        """V_t(x) = max_y E_z V_{t−1}(y + σ_t z) − α(y − ρ)²/2σ_t², and the best means y: both [T+1, n].

        The maximum over the points, then over the parabola through the best and its neighbours.
        """
        V, means = [reward.double()], [self.axis]
        for t in self.times:
            blurred = self.steps(t, self.axis) @ V[-1]
            away = (self.axis - self.means[t][:, None]) / self.sigma[t]
            y, value = self._top(blurred - alpha / 2 * away.square())
            means.append(y)
            V.append(value)
        return torch.stack(V), torch.stack(means)

    def _top(self, heights: Tensor) -> tuple[Tensor, Tensor]:
        """argmax and max along the last axis, between the points: [n, n] → [n], [n]."""
        best = heights.argmax(1, keepdim=True).clamp(1, heights.shape[1] - 2)
        left, middle, right = (heights.gather(1, best + k)[:, 0] for k in (-1, 0, 1))
        bend = (left - 2 * middle + right).clamp_max(-1e-300)
        shift = ((left - right) / (2 * bend)).clamp(-1, 1)
        return self.axis[best[:, 0]] + shift * self.spacing, middle - (left - right) * shift / 4
