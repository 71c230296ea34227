"""The robust mean that the whole project reports, and its interval. Plain Python: it runs on a board too."""

import math

TRIM = 0.2  # of the samples, cut from each end
_T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)  # Student's t, 1 to 10 degrees


def trimmed_mean(samples):
    """Mean without the lowest and the highest 20 % of the samples.

    Raises ValueError for no samples.
    """
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    cut = int(TRIM * len(ordered))
    kept = ordered[cut : len(ordered) - cut]
    return math.fsum(kept) / len(kept)


def ci95(samples):
    """Half-width of the 95 % interval of the trimmed mean, in the samples' unit; infinite under three samples.

    Tukey and McLaughlin (1963): standard deviation of the winsorised samples over (1 - 2 trim) sqrt(n), with Student's
    t at h - 1 degrees, h the number of samples left after trimming.
    """
    count = len(samples)
    if count < 3:
        return float("inf")
    ordered = sorted(samples)
    cut = int(TRIM * count)
    low, high = ordered[cut], ordered[count - 1 - cut]
    winsorised = [min(max(value, low), high) for value in ordered]
    mean = math.fsum(winsorised) / count
    variance = math.fsum((value - mean) ** 2 for value in winsorised) / (count - 1)
    kept = count - 2 * cut
    return t975(kept - 1) * math.sqrt(variance) / ((kept / float(count)) * math.sqrt(count))


def t975(degrees):
    """The 97.5 % quantile of Student's t; past ten degrees by the Cornish-Fisher series, right to four digits."""
    if degrees <= len(_T975):
        return _T975[degrees - 1]
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / degrees + second / degrees**2


def median(samples):
    """The middle value. Raises ValueError for no samples."""
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2.0
