"""Flax modules: every parameter of the project lives here."""
