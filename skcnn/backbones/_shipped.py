"""ResNet20 with the weights that come with the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skcnn.backbones._backbone import Backbone
from skcnn.backbones._resnet20 import build_resnet20
from skcnn.backbones._weights import file_sha256

RESNET20_CIFAR10 = Path(__file__).parent / "weights" / "resnet20_cifar10.weights.h5"
#: SHA-256 of that file, as its README gives it.
RESNET20_CIFAR10_SHA256 = "326a9b9ec39507ba956841446821bdae6a35ec71dadcd9d7c3ff337a0c2826c2"


@dataclass(frozen=True)
class ShippedBackbone(Backbone):
    """A backbone whose published weights come with the package, in a file of a known digest.

    Parameters
    ----------
    path : Path
        The file.
    sha256 : str
        Its digest, in hexadecimal.
    """

    path: Path
    sha256: str

    def weights_id(self, weights: Any = "pretrained", random_state: int = 0) -> str:
        """Identify weights, the shipped ones by name and digest: another release may ship others."""
        identity = super().weights_id(weights, random_state)
        return f"{identity}:{self.sha256[:16]}" if identity in self.weights else identity

    def _build_published(self, name: str, size: tuple[int, int]) -> Any:
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path} is missing: this installation of skcnn is incomplete. Reinstall it.")
        if (found := file_sha256(self.path)) != self.sha256:
            raise OSError(
                f"{self.path} is not the file that skcnn ships: its SHA-256 is {found}, and not {self.sha256}. It is "
                "damaged or was changed: reinstall skcnn, or give a weights file of your own."
            )
        return self._build_from_file(self.path, size)


def resnet20(
    *,
    include_top: bool = True,
    weights: None = None,
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
) -> Any:
    """Build ResNet20 by the signature of ``keras.applications``."""
    return build_resnet20(include_top=include_top, input_shape=input_shape, classes=classes)
