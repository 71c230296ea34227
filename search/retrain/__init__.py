"""One network trained by itself: found by a search, or a baseline to compare it with."""
