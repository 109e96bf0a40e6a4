"""Keras's backend is started without its notices."""

from __future__ import annotations

import os
import sys
import tempfile


def start_keras_quietly() -> None:
    """Start Keras's backend without its notices on which instructions and devices it found.

    TensorFlow writes them to the process's standard error before any logging level counts, so that is where they are
    caught; they are shown after all if it does not start.
    """
    from skcnn._keras import import_keras

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as notices:
        os.dup2(notices.fileno(), 2)
        try:
            import_keras().ops.zeros(1)
        except BaseException:
            notices.seek(0)
            os.write(terminal, notices.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
