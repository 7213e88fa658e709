"""Experiments: one file each, all built on `base.py`."""
