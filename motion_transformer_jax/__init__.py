"""Motion Transformer for Unsupervised Image Animation (Tao et al., ECCV 2022) in JAX and Flax."""
