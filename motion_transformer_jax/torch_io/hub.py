"""PyTorch's cache of pretrained weights: where they are, and downloads that are whole or not there."""

import hashlib
import logging
import os
import urllib.error
import urllib.request
from pathlib import Path

from motion_transformer_jax.atomic import atomic_path
from motion_transformer_jax.errors import UserError

logger = logging.getLogger(__name__)

SERVER = "https://download.pytorch.org/models"
TIMEOUT_SECS = 30


def cached_path(file_name: str) -> Path:
    """Where PyTorch keeps a file of that name: below `TORCH_HOME`, else `~/.cache/torch`; it may not be there yet."""
    home = Path(os.environ.get("TORCH_HOME", Path.home() / ".cache" / "torch"))
    return home / "hub" / "checkpoints" / file_name


def download(file: Path, *, title: str, sha256_prefix: str, remedy: str) -> None:
    """Downloads the file of that name from PyTorch's server.

    Args:
        file: where to.
        title: what it is, for messages: "VGG19's ImageNet weights".
        sha256_prefix: how its checksum begins.
        remedy: what the user may do instead.

    Raises:
        UserError: there is no network, the file cannot be written, or its checksum differs.
    """
    logger.info("downloading %s to %s", title, file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(file) as temporary:
            digest = hashlib.sha256()
            url = f"{SERVER}/{file.name}"
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECS) as response, open(temporary, "wb") as output:
                while block := response.read(1 << 20):
                    digest.update(block)
                    output.write(block)
            if not digest.hexdigest().startswith(sha256_prefix):
                raise UserError(f"the download of {file.name} is damaged (its checksum differs); {remedy}")
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise UserError(f"{title} are not at {file} and cannot be downloaded ({error}); {remedy}") from error
