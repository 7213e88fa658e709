"""Animation: the jitted engine and motion retargeting."""
