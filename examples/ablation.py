"""What is each part of a network good for? Leave one out, train again, compare.

    python examples/ablation.py [--quick] [--seeds 0 1 2] [--output runs/ablation.png]

A small network learns from 10,000 images of Fashion-MNIST and is scored on the whole test set. Every variant has the
seeds of the full network. Of one trained network, single channels are silenced without training again.
"""

import argparse
from pathlib import Path

import numpy as np

from tinygrad_cnn import data, nn, optim
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import ablate_each, ablation_study
from tinygrad_cnn.preprocess import RandomHorizontalFlip
from tinygrad_cnn.training import evaluate
from tinygrad_cnn.viz.figure import MUTED, drawing_style, new_figure, save_picture

COMPONENTS = ["batch norm", "second convolution", "dropout", "mirror images"]


def train(parts, seed, images, epochs):
    """Return a network with these components, trained."""
    generator, deep = np.random.default_rng(seed), "second convolution" in parts
    norm = lambda channels: nn.BatchNorm2d(channels) if "batch norm" in parts else nn.Identity()
    conv = lambda *sizes: nn.Conv2d(*sizes, padding="same", generator=generator)
    layers = {"conv1": conv(1, 8, 5), "norm1": norm(8), "relu1": nn.ReLU(), "pool1": nn.MaxPool2d(2)}
    layers |= {"conv2": conv(8, 16, 3), "norm2": norm(16), "relu2": nn.ReLU()} if deep else {}
    layers |= {"pool2": nn.MaxPool2d(2), "flatten": nn.Flatten()}  # (N, 16 or 8, 7, 7)
    layers |= {"drop": nn.Dropout(0.3, generator=generator)} if "dropout" in parts else {}
    layers |= {"fc1": nn.Linear(784 if deep else 392, 64, generator=generator), "relu3": nn.ReLU()}
    model = nn.Sequential(layers | {"fc2": nn.Linear(64, 10, generator=generator)})
    mirror = RandomHorizontalFlip() if "mirror images" in parts else None
    loader = data.DataLoader(images, 100, True, generator=generator, transform=mirror)
    optimizer = optim.Adam(model.parameters())
    schedule = optim.OneCycleLR(optimizer, 0.005, epochs=epochs, steps_per_epoch=len(loader))
    for _ in range(epochs):
        for x, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), labels).backward()
            optimizer.step()
            schedule.step()
    return model


def main(words=None):
    """Print both tables and draw what each part was worth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="synthetic digits, few steps: seconds")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--output", type=Path, default=Path("runs/ablation.png"), help="the picture")
    quick, seeds, output = vars(parser.parse_args(words)).values()
    sets = map(data.synthetic_digits, (500, 200), (0, 1)) if quick else map(data.fashion_mnist, ("train", "test"))
    (few, test), epochs = sets, 2 if quick else 8
    few = data.ArrayDataset(few.images[:10_000], few.labels[:10_000], **few.description)
    score = lambda model: evaluate(model, test)[2:]  # labels and predictions
    print(f"{few}, {epochs} epochs\n\ntrained again without a component")
    again = ablation_study(lambda parts, seed: score(train(parts, seed, few, epochs)), COMPONENTS, seeds)
    print(f"{again.table(test.classes)}\n\nchannels silenced in the network of seed {seeds[0]}")
    trained, channels = train(COMPONENTS, seeds[0], few, epochs), [("conv1", [c]) for c in range(8)]
    silenced = ablate_each(trained, channels, score, "mean")
    print(silenced.table(test.classes))
    with drawing_style():
        figure = new_figure(8, 2.4, "Points of accuracy lost, with 95 % intervals")
        titles = f"trained again without it, {len(seeds)} seeds", "a channel replaced by its mean"
        for axes, title, study in zip(figure.subplots(1, 2), titles, (again, silenced), strict=True):
            worth = 100 * np.array([study.worth(name) for name in study.variants[1:]])
            axes.errorbar(worth[:, 0], study.variants[1:], xerr=abs(worth[:, 1:] - worth[:, :1]).T, fmt="o", capsize=3)
            axes.axvline(0, color=MUTED, lw=1)
            axes.invert_yaxis()
            axes.set_title(title, loc="left", fontsize=9, color=MUTED)
        output.parent.mkdir(parents=True, exist_ok=True)
        save_picture(figure, output)


if __name__ == "__main__":
    main()
