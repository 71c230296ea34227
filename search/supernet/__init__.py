"""The supernet: one network whose leading slices are all the others; trained, stored, re-normalised, cut up."""

from search.supernet.store import Supernet, load, save

__all__ = ["Supernet", "load", "save"]
