"""A network that came with a saved file, and what it stands for."""

from __future__ import annotations

from abc import ABC, abstractmethod

from skcnn.engines._engine import Engine


class SavedNetwork(ABC):
    """A network that a saved file has for a runtime; it can be pickled.

    Attributes
    ----------
    digest : str
        Identifies it by its content.
    """

    digest: str

    @abstractmethod
    def gives(self, part: str) -> bool:
        """Tell whether it gives a part, "features" or "outputs", without building it."""

    @abstractmethod
    def build(self, part: str) -> Engine:
        """Compile it.

        Parameters
        ----------
        part : {"features", "outputs"}
            What the engine gives: the features before the head, or what the head gives.

        Returns
        -------
        Engine

        Raises
        ------
        ImportError
            If what runs it is not installed.
        ValueError
            If it is damaged or forged, or does not give this part.
        """
