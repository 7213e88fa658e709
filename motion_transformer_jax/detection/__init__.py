"""Keypoints and identities in frames, and the distances between them."""
