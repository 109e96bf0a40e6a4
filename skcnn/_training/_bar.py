"""The progress bar of a phase of training, for a person who waits."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from skcnn._keras import import_keras
from skcnn._progress import progress_bar


def bars_of_phase(verbose: int | str, name: str, n_rows: int, batch_size: int, epochs: int) -> list[Any]:
    """Return the callback that shows a bar of the images that are still to come, in a list; none where none is shown.

    Parameters
    ----------
    verbose : int or "auto"
        "auto" shows a bar in a terminal or a notebook where the phase takes longer than 5 seconds. With an int, Keras
        shows one of its own, or none.
    name : str
        Name of the phase.
    n_rows : int
        Images per epoch.
    batch_size : int
        Images per step.
    epochs : int
        Number of epochs that are left.
    """
    if verbose != "auto":
        return []
    bar = progress_bar(total=n_rows * epochs, title=f"training ({name})", verbose=verbose)
    return [] if bar.disable else [_bar_class()(bar, n_rows, batch_size)]


@lru_cache(maxsize=1)
def _bar_class() -> Any:
    keras = import_keras()

    class Bar(keras.callbacks.Callback):  # type: ignore[name-defined]
        """Updates a bar of tqdm after each step."""

        def __init__(self, bar: Any, n_rows: int, batch_size: int):
            super().__init__()
            self.bar, self.n_rows, self.batch_size = bar, n_rows, batch_size

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.bar.update(min(self.batch_size, self.n_rows - batch * self.batch_size))

        def on_train_end(self, logs: Any = None) -> None:
            self.bar.close()

    return Bar
