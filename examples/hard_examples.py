"""Does it help to learn more from what is still wrong? Hard-example mining on Fashion-MNIST, and its worst mistakes.

    python examples/hard_examples.py [--quick] [--seeds 0 1 2] [--output runs/most_wrong.png]

LeNet-5 takes as many steps each way. Shirt or not: all negatives, or three for each shirt, random ones or the hardest.
Ten classes: "online" learns from the harder half of each batch; half of an "offline" epoch are the hardest images.
"""

import argparse
from pathlib import Path

import numpy as np

from tinygrad_cnn import data, optim
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import sample_losses
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.viz import save_most_wrong

SHIRT = 6  # with --quick the digit


def train(dataset, seed, steps, make_sampler=lambda: None, mine=True, keep=1.0):
    """Train LeNet-5 on what the sampler gives (or on everything), on the hardest part of each batch."""
    generator, sampler = np.random.default_rng(seed), make_sampler()
    model = LeNet5(len(dataset.classes), generator=generator)
    loader = data.DataLoader(dataset, 100, sampler is None, generator=generator, sampler=sampler)
    optimizer, epochs = optim.Adam(model.parameters()), round(steps / len(loader))
    schedule = optim.OneCycleLR(optimizer, 0.005, epochs=epochs, steps_per_epoch=len(loader))
    for _ in range(epochs):
        for x, labels in loader:
            losses = F.cross_entropy(model(x), labels, reduction="none")
            optimizer.zero_grad()
            losses[data.hardest(losses.data, round(keep * len(labels)))].mean().backward()
            optimizer.step()
            schedule.step()
        if sampler is not None:  # new losses, or new luck
            sampler.losses[:] = sample_losses(model, dataset).losses if mine else generator.random(len(dataset))
    return model


def average_precision(found):
    """Return the mean, over the shirts, of the part of shirts among what is as likely one."""
    likely = np.where(found.predictions == 1, found.confidence, 1 - found.confidence)
    hits = found.labels[np.argsort(-likely, kind="stable")] == 1
    return (hits.cumsum() / np.arange(1, len(hits) + 1))[hits].mean()


def main(words=None):
    """Compare on both tasks; draw the mistakes of the last network of ten classes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="synthetic digits, few steps: half a minute")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--output", type=Path, default=Path("runs/most_wrong.png"), help="the picture")
    quick, seeds, output = vars(parser.parse_args(words)).values()
    sets = map(data.synthetic_digits, (600, 300), (0, 1)) if quick else map(data.fashion_mnist, ("train", "test"))
    ten = [data.ArrayDataset(part.images[:10_000], part.labels[:10_000], **part.description) for part in sets]
    named = ten[0].description | {"classes": ["else", ten[0].classes[SHIRT]]}
    two = [data.ArrayDataset(part.images, (part.labels == SHIRT) * 1, **named) for part in ten]
    steps, start = 6 * len(ten[0]) // 100, np.random.default_rng(0).random(len(ten[0]))
    half = lambda: data.HardExampleSampler(start, len(start) // 2)
    three = lambda: data.HardNegativeSampler(start, two[0].labels == 1, ratio=3)
    shirts = {"all": {}, "3 random": {"make_sampler": three, "mine": False}, "3 hardest": {"make_sampler": three}}
    classes = {"all": {}, "online": {"keep": 0.5}, "offline": {"make_sampler": half}}
    accuracy = lambda found: np.mean(found.labels == found.predictions)
    print(f"{ten[0]}, {steps} steps, % on {len(ten[1]):,} test images, seeds {seeds}")
    one = f"{ten[0].classes[SHIRT]}: average precision"
    tasks = {one: (two, average_precision, shirts), "ten: accuracy": (ten, accuracy, classes)}
    for task, ((few, test), score, ways) in tasks.items():
        for way, options in ways.items():
            found = [sample_losses(train(few, seed, steps, **options), test) for seed in seeds]
            s = [100 * score(f) for f in found]
            print(f"{task}, {way:9} mean {np.mean(s):.2f}, deviation {np.std(s):.2f}:", *(f"{x:.2f}" for x in s))
    output.parent.mkdir(parents=True, exist_ok=True)
    save_most_wrong(test, found[-1], output, title=f"LeNet-5 on {test.name}, trained on {len(few):,} images")


if __name__ == "__main__":
    main()
