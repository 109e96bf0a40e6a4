"""Which regions of an image raised the score of a class (Grad-CAM), if the whole model can be loaded."""

from __future__ import annotations

import io
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from skcnn.images import BadImageError
from skcnn.serving._errors import RequestError, busy

#: Images that wait to be explained, beside the one that is.
MAX_WAITING = 4


class Explainer:
    """Heat maps of one model, made one after another in a thread of its own. The model is loaded for the first one.

    Parameters
    ----------
    path : Path
        Of the saved file.
    name : str
        Of the thread.
    """

    def __init__(self, path: Path, name: str):
        self._path = path
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"skcnn-explain-{name}")
        self._waiting: list[Future[bytes]] = []
        self._model: Any = None

    def submit(self, content: bytes, label: str | None) -> Future[bytes]:
        """Return the future of a PNG image: the image with the heat laid over it.

        Raises
        ------
        RequestError
            503 if too many wait.
        """
        self._waiting = [future for future in self._waiting if not future.done()]
        if len(self._waiting) > MAX_WAITING:
            raise busy(f"{len(self._waiting)} images wait to be explained", 5)
        future = self._pool.submit(self._explained, content, label)
        self._waiting.append(future)
        return future

    def close(self) -> None:
        """Let the thread end once all is answered."""
        self._pool.shutdown(wait=False)

    def _explained(self, content: bytes, label: str | None) -> bytes:
        from skcnn.inspection import GradCAMDisplay

        model = self._loaded()
        target = None
        if label is not None:
            target = next((name for name in model.classes_.tolist() if str(name) == label), None)
            if target is None:
                raise RequestError(400, f"label={label[:100]!r} is not a class of the model.")
        try:
            display = GradCAMDisplay.from_estimator(model, [content], target=target)
        except BadImageError as error:
            raise RequestError(422, str(error.bad_rows["reason"].iloc[0])) from None
        except (TypeError, ValueError, RuntimeError) as error:
            raise RequestError(501, f"The model cannot be explained here: {error}") from None
        file = io.BytesIO()
        Image.fromarray(display.overlays()[0]).save(file, "PNG")
        return file.getvalue()

    def _loaded(self) -> Any:
        if self._model is None:
            from skcnn.inspection import check_explainable
            from skcnn.persistence import load

            try:
                model = load(self._path)
                check_explainable(model)
            except (ImportError, TypeError, ValueError, OSError) as error:
                raise RequestError(501, f"The model cannot be explained here: {error}") from None
            self._model = model
        return self._model
