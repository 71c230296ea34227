"""What runs on a device: Python 3.6 syntax, standard library only at import time."""
