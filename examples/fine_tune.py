"""Teach a network trained on photographs about clothes, from 20 pictures a class, against the same one from scratch.

EfficientNet-Lite0's backbone is frozen: its 1,280 features are computed once, and only a new last layer learns. The
rival trains all its weights for as many steps. Both see the whole test set of Fashion-MNIST, doubled to 56 x 56.
"""

import argparse

import numpy as np

from tinygrad_cnn import data, hub, nn, no_grad, optim
from tinygrad_cnn import functional as F

RATES = {"fine-tuned": 0.001, "from scratch": 0.003}  # Adam's: best of 0.001, 0.003, 0.01 on held-out images
BATCH = 20


def as_input(images):
    """Return grey images (N, 1, 28, 28), uint8, as the network was trained to see photographs: (N, 3, 56, 56)."""
    return (images.repeat(2, 2).repeat(2, 3).repeat(3, 1).astype(np.float32) - 127) / 128


def in_batches(function, x):
    """Return the results of a function on all of ``x``, without recording."""
    with no_grad():
        return np.concatenate([np.array(function(x[at : at + 200])) for at in range(0, len(x), 200)])


def train(model, rate, x, labels, epochs, generator):
    """Train all parameters with Adam."""
    optimizer = optim.Adam(model.parameters(), rate)
    for _ in range(epochs):
        for batch in generator.permutation(len(x)).reshape(-1, BATCH):
            loss = F.cross_entropy(model(x[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def from_scratch(images, labels, test_images, epochs, generator):
    """Train the whole network on a few images and return its scores of the test images."""
    model = hub.efficientnet_lite0(pretrained=False, num_classes=10, generator=generator)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.1  # so that the running statistics keep up with so few steps
    train(model, RATES["from scratch"], as_input(images), labels, epochs, generator)
    return in_batches(lambda images: model.eval()(as_input(images)), test_images)


def main(words=None):
    """Print both accuracies for each seed, and their spread."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="synthetic digits, random weights, one short run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    quick, seeds = vars(parser.parse_args(words)).values()
    load, count, epochs = (data.synthetic_digits, 4, 1) if quick else (data.fashion_mnist, 20, 20)
    train_set, test_set = (load(300, seed=0), load(40, seed=1)) if quick else (load("train"), load("test"))
    backbone = hub.efficientnet_lite0(pretrained=not quick).eval()
    embed = lambda images: backbone.embed(as_input(images))  # (N, 1, 28, 28) -> (N, 1280)
    test_features = in_batches(embed, test_set.images)
    found = {name: [] for name in RATES}
    print(f"{test_set.name}: {count} images a class, {epochs} epochs, % right of {len(test_set):,} test images")
    if quick:
        print("a trial: from random weights and so few steps nothing is learnt, about 10 % is chance")
    for seed in seeds:
        generator = np.random.default_rng(seed)
        order = generator.permutation(len(train_set))
        few = np.concatenate([order[train_set.labels[order] == label][:count] for label in range(10)])
        images, labels = train_set.images[few], train_set.labels[few]
        head = nn.Linear(1280, 10, generator=generator)
        train(head, RATES["fine-tuned"], in_batches(embed, images), labels, epochs, generator)
        scores = in_batches(head, test_features), from_scratch(images, labels, test_set.images, epochs, generator)
        for right, score in zip(found.values(), scores, strict=True):
            right.append(100 * np.mean(score.argmax(1) == test_set.labels))
        print(f"seed {seed}: " + ", ".join(f"{name} {right[-1]:.2f}" for name, right in found.items()), flush=True)
    for name, right in found.items():
        print(f"{name}: mean {np.mean(right):.2f}, standard deviation {np.std(right):.2f}, {len(right)} seeds")


if __name__ == "__main__":
    main()
