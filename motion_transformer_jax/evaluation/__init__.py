"""Measuring models: what they cost. A config in, numbers out."""
