"""Serves the page until it is interrupted."""

import os
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from motion_transformer_jax.errors import UserError, install_hint
from motion_transformer_jax.web.cleanup import cleaning
from motion_transformer_jax.web.uploads import UploadLimits


def serve(
    checkpoints: Sequence[str],
    *,
    examples: Path,
    limits: UploadLimits,
    keep_minutes: float,
    host: str,
    port: int,
) -> None:
    """Serves the page, and deletes all that was uploaded and made when it ends.

    Args:
        checkpoints: Folders of training runs, at least one.
        examples: A folder of pictures and clips.
        limits: Of uploads.
        keep_minutes: After which uploads and results are deleted.
        host, port: Where to listen.

    Raises:
        UserError: A mistake in the checkpoints or the examples, the port is taken, or Gradio is missing.
    """
    _check_address(host, port)
    with _own_folder() as uploads, cleaning(uploads, 60 * keep_minutes):
        _import_gradio()
        from motion_transformer_jax.data.examples import list_examples
        from motion_transformer_jax.web.checkpoints import load_checkpoints
        from motion_transformer_jax.web.page import STYLE, create_page, create_theme
        from motion_transformer_jax.web.worker import Worker

        models = load_checkpoints(checkpoints)
        offered = list_examples(examples)
        with closing(Worker()) as worker:
            page = create_page(models, offered, limits, worker, keep_minutes=keep_minutes)
            page.launch(
                server_name=host,
                server_port=port,
                share=False,
                theme=create_theme(),
                css_paths=STYLE,
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                mcp_server=False,
                pwa=False,
                max_file_size=limits.max_bytes,
                allowed_paths=[str(path.resolve()) for path in (*offered.pictures, *offered.clips)],
                prevent_thread_lock=True,
                quiet=True,
            )
            print(f"open {page.local_url}; stop with Ctrl-C", flush=True)
            try:
                threading.Event().wait()
            finally:
                page.close(verbose=False)


def _check_address(host: str, port: int) -> None:
    """Raises a UserError where nobody can listen."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address, family=family).close()
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}, port {port} ({error.strerror or error}); choose others with --host and --port"
        ) from error


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A folder for all that is temporary, Gradio's uploads and results included; it goes with all that is in it.

    Yields:
        Gradio's part of it.
    """
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="motrans-app-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # Gradio copies results into its own folder, and deletes them there when their time has come.
        for part in ("work", "cache"):
            (folder / part).mkdir()
        tempfile.tempdir, os.environ["GRADIO_TEMP_DIR"] = str(folder / "work"), str(folder / "cache")
        try:
            yield folder / "cache"
        finally:
            tempfile.tempdir = before
            del os.environ["GRADIO_TEMP_DIR"]


def _import_gradio() -> None:
    """Imports it, told to stay at home."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise UserError(f"the app needs Gradio ({error}); {install_hint('app')}") from error
