"""Who evaluates the networks of a search: this process, processes beside it, or a Ray cluster, behind one interface."""

from search.workers.choice import open_pool
from search.workers.pool import Outcome, Pool, Recipe, Score
from search.workers.retries import Retrying

__all__ = ["Outcome", "Pool", "Recipe", "Retrying", "Score", "open_pool"]
