"""Measuring speed, always beside a reference in the same run. Settings in, figures out."""
