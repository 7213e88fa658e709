"""Where compiled programs are kept for the next start."""

import os
from pathlib import Path


def keep_compiled_programs() -> None:
    """Let JAX keep compiled programs in `~/.cache/motion_transformer_jax/programs`; for before JAX is imported.

    `XDG_CACHE_HOME` is heeded. Whoever has set `JAX_COMPILATION_CACHE_DIR` decides alone: an empty one turns it off.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(caches / "motion_transformer_jax" / "programs"))
