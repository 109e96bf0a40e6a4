"""segmentation-models-pytorch: its U-Net on the same network of timm, all of it trained."""

from pathlib import Path

import _mobilenet
import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from torch.utils.data import DataLoader


def read(path, mode, resampling):
    return np.asarray(Image.open(path).convert(mode).resize((224, 224), resampling))


def pixels_of(path):
    return torch.from_numpy(read(path, "RGB", Image.Resampling.BILINEAR) / 127.5 - 1).permute(2, 0, 1).float()


def fit(folder, weights, seed):
    torch.manual_seed(seed)
    masks = sorted(Path(folder, "masks").iterdir())
    images = sorted(Path(folder, "images").iterdir())
    labels = [torch.from_numpy(read(path, "L", Image.Resampling.NEAREST).copy()).long() for path in masks]
    rows = list(zip(map(pixels_of, images), labels, strict=True))
    model = smp.Unet(f"tu-{_mobilenet.NAME}", encoder_weights="imagenet", classes=2)
    optimizer, loss = torch.optim.Adam(model.parameters(), lr=1e-3), torch.nn.CrossEntropyLoss()
    model.train()
    for _ in range(12):
        for pixels, true in DataLoader(rows, batch_size=8, shuffle=True):
            optimizer.zero_grad()
            loss(model(pixels), true).backward()
            optimizer.step()
    return model.eval()


def predict(model, folder):
    paths, masks = sorted(Path(folder, "images").iterdir()), []
    for path in paths:
        with torch.inference_mode():
            mask = model(pixels_of(path)[None])[0].argmax(0).numpy().astype(np.uint8)
        masks.append(np.asarray(Image.fromarray(mask).resize(Image.open(path).size, Image.Resampling.NEAREST)))
    return paths, masks


def save(model, path):
    torch.save(model, path)


def load(path):
    return torch.load(path, weights_only=False)
