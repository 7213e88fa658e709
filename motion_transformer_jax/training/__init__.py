"""Losses, optimiser, train state, step, checkpoints and the loop."""
