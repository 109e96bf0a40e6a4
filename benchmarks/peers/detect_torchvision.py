"""torchvision: Faster R-CNN with another network, and the optimizer, as its tutorial on fine-tuning has them."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import _mobilenet
import numpy as np
import timm
import torch
from PIL import Image
from timm.layers import freeze_batch_norm_2d
from torch.utils.data import DataLoader
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign
from torchvision.transforms.functional import hflip, to_tensor

SIDES = ("xmin", "ymin", "xmax", "ymax")


class Maps(torch.nn.Module):
    """The maps of a sixteenth of the image's sides."""

    def __init__(self):
        super().__init__()
        network = timm.create_model(_mobilenet.NAME, pretrained=True, features_only=True, out_indices=[3])
        self.network = freeze_batch_norm_2d(network)
        self.out_channels = network.feature_info.channels()[0]

    def forward(self, pixels):
        return self.network(pixels)[0]


def read(path):
    objects = ElementTree.parse(path).findall("object")
    boxes = [[float(item.find(f"bndbox/{side}").text) for side in SIDES] for item in objects]
    image = Image.open(path.parents[1] / "JPEGImages" / f"{path.stem}.jpg").convert("RGB")
    return to_tensor(image), torch.tensor(boxes).reshape(-1, 4), [item.findtext("name") for item in objects]


def fit(folder, weights, seed):
    torch.manual_seed(seed)
    rows = [read(path) for path in sorted(Path(folder, "Annotations").iterdir())]
    names = sorted({name for _, _, labels in rows for name in labels})
    anchors = AnchorGenerator(sizes=((32, 64, 128, 256),), aspect_ratios=((0.5, 1.0, 2.0),))
    pool = MultiScaleRoIAlign(featmap_names=["0"], output_size=7, sampling_ratio=2)
    scaling = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "min_size": 320, "max_size": 640}
    model = FasterRCNN(Maps(), len(names) + 1, rpn_anchor_generator=anchors, box_roi_pool=pool, **scaling)
    # A box without an area, or beyond the image, makes torchvision fail.
    examples = []
    for pixels, boxes, labels in rows:
        boxes = boxes.clamp(torch.zeros(4), torch.tensor(pixels.shape[:0:-1]).repeat(2))
        kept = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        numbers = torch.tensor([names.index(name) + 1 for name in labels])
        examples.append((pixels, {"boxes": boxes[kept], "labels": numbers[kept]}))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9, weight_decay=0.0005)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    model.train()
    for _ in range(10):
        for batch in DataLoader(examples, batch_size=2, shuffle=True, collate_fn=list):
            images, targets = zip(*map(flipped, batch), strict=True)
            optimizer.zero_grad()
            sum(model(images, targets).values()).backward()
            optimizer.step()
        schedule.step()
    return model.eval(), names


def flipped(example):
    pixels, target = example
    if torch.rand(()) < 0.5:
        return example
    boxes = target["boxes"].clone()
    boxes[:, [0, 2]] = pixels.shape[2] - boxes[:, [2, 0]]
    return hflip(pixels), {**target, "boxes": boxes}


def predict(model, folder):
    detector, names = model
    paths, found = sorted(Path(folder, "JPEGImages").iterdir()), []
    for path in paths:
        with torch.inference_mode():
            (one,) = detector([to_tensor(Image.open(path).convert("RGB"))])
        boxes = np.empty((len(one["labels"]), 6), object)
        boxes[:, 0] = [names[number - 1] for number in one["labels"]]
        boxes[:, 1:5], boxes[:, 5] = one["boxes"].numpy(), one["scores"].numpy()
        found.append(boxes)
    return paths, found


def save(model, path):
    torch.save(model, path)


def load(path):
    return torch.load(path, weights_only=False)
