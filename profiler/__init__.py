"""Devices to versioned latency tables."""
