"""MobileNetV2 for tools on PyTorch: timm's network with the weights of a Keras file, under a name of its own.

After ``import _mobilenet``, timm and whatever stands on it know ``mobilenetv2_keras``: the padding and the epsilon of
Keras's network, images scaled to [-1, 1], and with ``pretrained=True`` the weights of the file that the environment
variable ``PEERS_WEIGHTS`` names. Its features are those of Keras up to rounding.
"""

from __future__ import annotations

import os

import h5py
import timm
import torch
from timm.models import register_model
from torch import nn

NAME = "mobilenetv2_keras"

SCALING = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "interpolation": "bilinear", "crop_pct": 1.0}


@register_model
def mobilenetv2_keras(pretrained: bool = False, **options: object) -> nn.Module:
    """Build the network."""
    for name in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        options.pop(name, None)
    network = timm.create_model("mobilenetv2_100", pad_type="same", bn_eps=1e-3, **options)
    if pretrained:
        load(network, os.environ["PEERS_WEIGHTS"])
    network.pretrained_cfg = network.default_cfg = {**network.default_cfg, **SCALING}
    return network


def load(network: nn.Module, path: str) -> None:
    """Copy weights from a file of Keras: layers of a kind stand in the same order in both."""
    with h5py.File(path) as file:
        taken = {"conv2d": 0, "depthwise_conv2d": 0, "batch_normalization": 0, "dense": 0}

        def next_of(kind: str) -> list[torch.Tensor]:
            number, taken[kind] = taken[kind], taken[kind] + 1
            variables = file["layers"][f"{kind}_{number}" if number else kind]["vars"]
            return [torch.from_numpy(variables[str(index)][()]) for index in range(len(variables))]

        with torch.no_grad():
            for layer in network.modules():
                if isinstance(layer, nn.Conv2d) and layer.groups > 1:
                    layer.weight.copy_(next_of("depthwise_conv2d")[0].permute(2, 3, 0, 1))
                elif isinstance(layer, nn.Conv2d):
                    layer.weight.copy_(next_of("conv2d")[0].permute(3, 2, 0, 1))
                elif isinstance(layer, nn.BatchNorm2d):
                    for mine, theirs in zip(
                        (layer.weight, layer.bias, layer.running_mean, layer.running_var),
                        next_of("batch_normalization"),
                        strict=True,
                    ):
                        mine.copy_(theirs)
                elif isinstance(layer, nn.Linear) and layer.out_features == 1000:
                    kernel, bias = next_of("dense")
                    layer.weight.copy_(kernel.T)
                    layer.bias.copy_(bias)
