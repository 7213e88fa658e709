"""Animation: the jitted engine, motion retargeting, and the way from files to files."""
