"""What claims 6.7 and 6.8 share: the chain of one Gaussian, linear at every step, so that all about it is closed form.

    x_{t−1} = A_t x_t + b_t + σ_t z,   v_t(x)/α = −½ xᵀP_t x + q_tᵀx + c_t for a quadratic reward

Everything in float64, by this file's own algebra. Shapes: x [B, 2].
"""

import torch
from torch.distributions import MultivariateNormal

from tutorial_lib.distributions import GaussianMixture
from tutorial_lib.policies import DenoisingPolicy

from ..oracles import chain

MEAN, COVARIANCE = torch.tensor([0.4, -0.3]), torch.tensor([[0.5, 0.2], [0.2, 0.3]])
EYE = torch.eye(2, dtype=torch.float64)


def pretrained(T: int) -> DenoisingPolicy:
    return chain(GaussianMixture(torch.ones(1), MEAN[None], COVARIANCE[None]), T)


class LinearChain:
    """A_t [2, 2], b_t [2] and σ_t for t = 1..T; index 0 unused."""

    def __init__(self, T: int):
        self.T, schedule = T, pretrained(T).schedule
        m, C = MEAN.double(), COVARIANCE.double()
        self.A, self.b, self.sigma = [EYE], [m * 0], schedule.sigma.double()
        for t in range(1, T + 1):
            level, signal, carry = (a[t].double() for a in (schedule.alpha_bar, schedule.signal, schedule.carry))
            gain = level.sqrt() * C @ torch.linalg.inv(level * C + (1 - level) * EYE)
            self.A.append(signal * gain + carry * EYE)
            self.b.append(signal * (m - level.sqrt() * gain @ m))

    def step(self, x, t):
        """p_pre(·|x_t)"""
        return MultivariateNormal(x @ self.A[t].mT + self.b[t], self.sigma[t] ** 2 * EYE)

    def marginals(self):
        """The law of x_t under p_pre, t = 0..T: N(0, I) pushed down the chain."""
        means, covariances = [torch.zeros(2, dtype=torch.float64)], [EYE]
        for t in range(self.T, 0, -1):
            means.append(self.A[t] @ means[-1] + self.b[t])
            covariances.append(self.A[t] @ covariances[-1] @ self.A[t].mT + self.sigma[t] ** 2 * EYE)
        return [MultivariateNormal(m, (C + C.mT) / 2) for m, C in zip(means[::-1], covariances[::-1], strict=True)]

    def backward(self, x, t, marginals):
        """P_B(·|x_{t−1}) = p_pre(x_t|x_{t−1}) by conditioning the joint Gaussian of x_t and x_{t−1}."""
        here, there = marginals[t], marginals[t - 1]
        cross = here.covariance_matrix @ self.A[t].mT  # Cov(x_t, x_{t−1})
        gain = cross @ torch.linalg.inv(there.covariance_matrix)
        covariance = here.covariance_matrix - gain @ cross.mT
        return MultivariateNormal(here.mean + (x - there.mean) @ gain.mT, (covariance + covariance.mT) / 2)

    def values(self, centre, alpha):
        """(P_t, q_t, c_t) for t = 0..T of v_t/α, v_0 = −‖x − centre‖²: Gaussian integrals, one step at a time."""
        centre = torch.as_tensor(centre, dtype=torch.float64)
        found = [(2 / alpha * EYE, 2 / alpha * centre, -(centre @ centre) / alpha)]
        for t in range(1, self.T + 1):
            P, q, c = found[-1]
            A, b, s2 = self.A[t], self.b[t], self.sigma[t] ** 2
            S = torch.linalg.inv(EYE / s2 + P)
            # log E exp(−½yᵀPy + qᵀy) for y ~ N(μ, s² I) is ½hᵀSh − ½‖μ‖²/s² − ½ log det(I + s²P), h = μ/s² + q
            W, w = S / s2**2 - EYE / s2, S @ q / s2
            c = c + (b @ W @ b) / 2 + w @ b + (q @ S @ q) / 2 - torch.logdet(EYE + s2 * P) / 2
            found.append((-A.mT @ W @ A, A.mT @ (W @ b + w), c))
        return found

    def optimal_step(self, x, t, values):
        """p*(·|x_t): p_pre(·|x_t) times a Gaussian in x_{t−1}, by adding precisions."""
        P, q, _ = values[t - 1]
        precision = EYE / self.sigma[t] ** 2 + P
        h = (x @ self.A[t].mT + self.b[t]) / self.sigma[t] ** 2 + q
        return MultivariateNormal(h @ torch.linalg.inv(precision).mT, precision_matrix=precision)


def quadratic(x, coefficients):
    """−½ xᵀPx + qᵀx + c: [B, 2] → [B]."""
    P, q, c = coefficients
    return -((x @ P) * x).sum(-1) / 2 + x @ q + c
