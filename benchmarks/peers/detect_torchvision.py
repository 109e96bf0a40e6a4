"""torchvision: FasterRCNN on a backbone of one's own, as its tutorial of fine-tuning does."""

from pathlib import Path

import _mobilenet
import numpy as np
import pandas as pd
import timm
import torch
from torch import nn
from torchvision.io import ImageReadMode, decode_image
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign


def read(folder):
    paths = sorted(map(str, Path(folder, "images").iterdir()))
    boxes = pd.read_csv(f"{folder}/boxes.csv")
    labels, targets = sorted(boxes["label"].unique()), []
    for path in paths:
        table = boxes[boxes["image"] == Path(path).name]
        corners = torch.tensor(table[["xmin", "ymin", "xmax", "ymax"]].to_numpy(), dtype=torch.float32)
        numbers = torch.tensor([labels.index(label) + 1 for label in table["label"]])
        targets.append({"boxes": corners, "labels": numbers})
    return paths, [decode_image(path, ImageReadMode.RGB) / 255 for path in paths], targets, labels


def fit(folder, weights, seed):
    torch.manual_seed(seed)
    _, images, targets, labels = read(folder)
    backbone = timm.create_model(_mobilenet.NAME, pretrained=True, num_classes=0, global_pool="")
    backbone.out_channels = backbone.num_features
    # The backbone gives one map of stride 32: small anchors, as cells are small.
    anchors = AnchorGenerator(sizes=((32, 64, 128),), aspect_ratios=((0.5, 1.0, 2.0),))
    pool = MultiScaleRoIAlign(featmap_names=["0"], output_size=7, sampling_ratio=2)
    scaling = {"min_size": 288, "max_size": 384, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    model = FasterRCNN(
        backbone, num_classes=len(labels) + 1, rpn_anchor_generator=anchors, box_roi_pool=pool, **scaling
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9, weight_decay=0.0005)
    model.train()
    for _ in range(10):
        order = torch.randperm(len(images)).tolist()
        for start in range(0, len(order), 2):
            rows = order[start : start + 2]
            losses = model([images[row] for row in rows], [targets[row] for row in rows])
            optimizer.zero_grad()
            sum(losses.values()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
    return model.eval()


def predict(model, folder):
    paths, images, _, _ = read(folder)
    with torch.inference_mode():
        found = [model([image])[0] for image in images]
    columns = [[one["labels"][:, None] - 1, one["boxes"], one["scores"][:, None]] for one in found]
    return paths, [np.asarray(torch.cat(parts, dim=1)) for parts in columns]


def save(model, path):
    torch.save(model, path)


def load(path):
    return torch.load(path, weights_only=False)
