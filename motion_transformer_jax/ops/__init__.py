"""Pure jnp functions: no parameters, no Flax, no I/O, no config."""
