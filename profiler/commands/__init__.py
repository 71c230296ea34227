"""What the commands of `profiler` read and print; what they do is elsewhere."""
