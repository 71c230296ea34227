"""Multi-objective search over digits: initial sampling, NSGA-II, pre-screening, trade-offs, hypervolume.

The objectives are always named, never an array whose order must be remembered: `miou` is maximised, `latency_ms`
minimised.
"""
