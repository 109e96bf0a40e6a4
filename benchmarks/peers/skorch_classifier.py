"""skorch: NeuralNetClassifier on a frozen network of timm with a new linear layer."""

import pickle

import _mobilenet
import numpy as np
import timm
import torch
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.helper import SliceDataset
from torch import nn
from torchvision.datasets import ImageFolder


class Network(nn.Module):
    def __init__(self, n_classes=2):
        super().__init__()
        self.base = timm.create_model(_mobilenet.NAME, pretrained=True, num_classes=0).requires_grad_(False)
        self.head = nn.Linear(self.base.num_features, n_classes)

    def train(self, mode=True):
        super().train(mode)
        self.base.eval()
        return self

    def forward(self, X):
        return self.head(nn.functional.dropout(self.base(X), 0.2, self.training))


def read(folder):
    network = timm.create_model(_mobilenet.NAME, num_classes=0)
    return ImageFolder(folder, timm.data.create_transform(**timm.data.resolve_data_config({}, model=network)))


def fit(folder, weights, seed):
    torch.manual_seed(seed)
    images = read(folder)
    model = NeuralNetClassifier(
        Network,
        module__n_classes=len(images.classes),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=3e-3,
        max_epochs=10,
        batch_size=32,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    return model.fit(images, np.array(images.targets))


def predict(model, folder):
    images = read(folder)
    return [path for path, _ in images.samples], model.predict_proba(images)


def save(model, path):
    with open(path, "wb") as file:
        pickle.dump(model, file)


def load(path):
    with open(path, "rb") as file:
        return pickle.load(file)


def refit(model, folder):
    images = read(folder)
    return model.fit(images, np.array(images.targets))


def search(model, folder):
    images = read(folder)
    grid = GridSearchCV(model, {"lr": [3e-3, 1e-3]}, cv=3, error_score="raise")
    return grid.fit(SliceDataset(images), np.array(images.targets))
