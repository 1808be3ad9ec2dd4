# The coefficients of tail() in assembly/math.ts: (6 - a)^2 N(a) / D(a) for the upper tail of the normal distribution, 0 <= a <= 6, by least squares
# whose weights are raised where the error is largest (Lawson). Linear in N and D, whose denominator is that of the round before.
# usage: python3 scripts/normal-tail.py    (made with numpy 2.4 and scipy 1.17)
import numpy as np
from scipy.special import ndtr

TOP, N, D = 6, 5, 7  # degrees of N and D
a = (1 - np.cos(np.linspace(0, np.pi, 6001))) / 2 * TOP
tail = ndtr(-a)
# What matters is the error itself near 0, and less and less of it in the tail.
importance = 1 / (0.1 + tail)
weights, last = np.ones_like(a), np.ones_like(a)
best = (np.inf, None, None)
for _ in range(400):
    left = (TOP - a)[:, None] ** 2 * a[:, None] ** np.arange(N + 1)
    right = -tail[:, None] * a[:, None] ** np.arange(1, D + 1)
    by = weights * importance / last
    system = np.concatenate([left, right], 1) * by[:, None]
    sizes = np.abs(system).max(0)
    solution = np.linalg.lstsq(system / sizes, tail * by, rcond=None)[0] / sizes
    n, d = solution[: N + 1], np.concatenate([[1], solution[N + 1 :]])
    last = np.polyval(d[::-1], a)
    errors = np.abs((TOP - a) ** 2 * np.polyval(n[::-1], a) / last - tail)
    most = (errors * importance).max()
    if most < best[0]:
        best = (most, n, d, errors.max())
    weights *= (errors * importance / most + 1e-3) ** 0.5
    weights /= weights.max()
_, n, d, error = best
print('N', [float(np.float32(x)) for x in n])
print('D', [float(np.float32(x)) for x in d])
print('largest error', error)
