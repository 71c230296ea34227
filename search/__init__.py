"""Tables and a supernet to Pareto-optimal networks."""
