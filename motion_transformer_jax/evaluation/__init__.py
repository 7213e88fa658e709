"""Measuring models: how well they animate, and what they cost."""
