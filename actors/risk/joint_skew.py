"""Quotes that see the whole book: how far each symbol's centre shifts for the positions in all of them.

Source: Bergault, Evangelista, Guéant, Vieira 2021 (Appl. Math. Finance 28:101-142, arXiv:1810.04383) and Guéant 2017
(arXiv:1605.01862), whose Model A has ξ = γ and whose Model B has ξ = 0. For symbols i with fill intensity
A_i exp(-k_i δ), order size z_i and price covariance Σ:

    C_i = (1 + ξ z_i / k_i)^-(1 + k_i / (ξ z_i))        D = diag(2 A_i k_i C_i z_i)
    Γ   = D^-½ (D^½ Σ D^½)^½ D^-½
    bid and ask distance_i = c_i ± s_i + w_i            c_i = ln(1 + ξ z_i / k_i) / (ξ z_i)
    skew  s = √γ Γ q                                    width w_i = ½ √γ z_i Γ_ii

With a horizon τ, 2A(τ) takes the place of √γ Γ: 2A(τ) = D^-½ Â tanh(Âτ) D^-½, Â = √γ (D^½ Σ D^½)^½. It goes to γΣτ
(Avellaneda and Stoikov) for τ → 0. One symbol alone gives GLFT's closed form.

Units only have to agree; ours are bps, orders (z = 1) and seconds, so √γ Γ is in bps per order.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def fill_capture(*, xi: float, k: Array, size: Array) -> Array:
    """C_i: what is left of the intensity at the best distance, by symbol; 1/e for ξ = 0."""
    if xi == 0:
        return np.full(len(k), math.exp(-1))
    share = xi * size / k
    return np.asarray(np.exp(-(1 + 1 / share) * np.log1p(share)))


def risk_free_half_spread(*, xi: float, k: Array, size: Array) -> Array:
    """c_i = ln(1 + ξz/k) / (ξz), 1/k for ξ = 0: the half spread of a symbol whose price does not move."""
    return 1 / k if xi == 0 else np.asarray(np.log1p(xi * size / k) / (xi * size))


def fill_curve(*, xi: float, a_per_s: Array, k: Array, size: Array) -> Array:
    """D_i = 2 A_i k_i C_i z_i: how steeply what both sides' fills bring bends with their price."""
    return np.asarray(2 * a_per_s * k * fill_capture(xi=xi, k=k, size=size) * size)


def skew_matrix(covariance: Array, *, gamma: float, curve: Array, horizon_s: float = math.inf) -> Array:
    """√γ Γ, or 2A(horizon): row i holds what one unit of each position adds to the skew of symbol i.

    `curve` is D, one number a symbol. Symmetric and positive semi-definite like `covariance`, of which negative
    eigenvalues are taken as zero; a singular one needs no care. ValueError for parameters outside their domain and
    numbers that are not finite.
    """
    symbols_count = len(covariance)
    if covariance.shape != (symbols_count, symbols_count) or not np.isfinite(covariance).all():
        raise ValueError("covariance must be square and finite")
    if not 0 < gamma < math.inf or not horizon_s > 0:
        raise ValueError(f"gamma and horizon_s must be above 0, found {gamma} and {horizon_s}")
    if curve.shape != (symbols_count,) or not (np.isfinite(curve) & (curve > 0)).all():
        raise ValueError(f"the fill curve must be {symbols_count} finite numbers above 0")
    scale = np.sqrt(curve)  # D^½
    values, vectors = np.linalg.eigh(covariance * np.outer(scale, scale))
    roots = np.sqrt(gamma * np.maximum(values, 0.0))
    if horizon_s < math.inf:
        roots = roots * np.tanh(roots * horizon_s)
    half = vectors / scale[:, None]
    return np.asarray((half * roots) @ half.T)


def widths(matrix: Array, *, size: Array) -> Array:
    """w_i = ½ z_i M_ii: what each half spread gains for the risk of the next order."""
    return np.asarray(size * np.diagonal(matrix) / 2)


def skews(matrix: Array, positions: Array) -> Array:
    """s = M q: bids move away by it and asks nearer. O(N²); `skew_after_fill` is O(N)."""
    return np.asarray(matrix @ positions)


def skew_after_fill(skew: Array, matrix: Array, *, symbol_no: int, change: float) -> Array:
    """The skews after one position changed: s + M_·j Δq_j, exact but for rounding."""
    return np.asarray(skew + matrix[:, symbol_no] * change)


def quote_distances(matrix: Array, positions: Array, *, xi: float, k: Array, size: Array) -> tuple[Array, Array]:
    """(bid, ask) distances of every symbol from its mid."""
    base = risk_free_half_spread(xi=xi, k=k, size=size) + widths(matrix, size=size)
    skew = skews(matrix, positions)
    return base + skew, base - skew
