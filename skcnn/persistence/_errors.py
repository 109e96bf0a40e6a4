"""What load raises."""

from __future__ import annotations

from typing import Any


class ModelFileError(ValueError):
    """A file is not one that :func:`save` wrote, or is damaged, or forged, or is from a newer format."""


class UntrustedTypesError(ModelFileError, TypeError):
    """A file holds types that are neither known to be harmless nor named in ``trusted``; ``types`` lists them."""

    def __init__(self, path: str, types: list[str]):
        self.path, self.types = path, types
        super().__init__(
            f"{path} holds types that skcnn does not know to be harmless: {', '.join(types)}. If you know that they "
            f"are, and trust the source of the file: load(path, trusted={types!r})."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.types)
