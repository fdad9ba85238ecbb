"""Compare learning rates for train_mnist.py on held-out training images; the test set is never looked at."""

import argparse
from statistics import mean

import numpy as np

import tinygrad_cnn
from tinygrad_cnn import data, optim
from tinygrad_cnn import functional as F
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.training import evaluate

RATES = (0.01, 0.02, 0.04)  # peaks of the one-cycle schedule


def accuracy(train_set, held_out, rate, seed, epochs, batch_size):
    """Train on one part and return the accuracy on the other, in per cent."""
    tinygrad_cnn.manual_seed(seed)
    model = LeNet5()
    loader = data.DataLoader(train_set, batch_size, shuffle=True)
    optimizer = optim.Adam(model.parameters(), betas=(0.9, 0.98))
    cycle = {"epochs": epochs, "steps_per_epoch": len(loader), "pct_start": 0.2, "anneal_strategy": "linear"}
    schedule = optim.OneCycleLR(optimizer, rate, **cycle)
    for _ in range(epochs):
        for x, labels in loader:
            loss = F.cross_entropy(model(x), labels, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return 100 * evaluate(model, held_out).accuracy


def main(words=None):
    """Print the held-out accuracy of every rate and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="synthetic digits and one seed: seconds")
    quick = parser.parse_args(words).quick
    full = data.synthetic_digits(1500, seed=0) if quick else data.mnist("train")
    count = 500 if quick else 5000
    seeds, epochs, batch_size = ((10,), 2, 32) if quick else ((10, 11, 12), 2, 256)

    parts = data.random_split(full, [len(full) - count, count], generator=np.random.default_rng(123))
    print(f"{full.name}: {len(parts[0]):,} training images, {count:,} held out, {epochs} epochs")
    for rate in RATES:
        found = [accuracy(*parts, rate, seed, epochs, batch_size) for seed in seeds]
        print(f"peak {rate}: {', '.join(f'{a:.2f}' for a in found)}; mean {mean(found):.2f} %", flush=True)


if __name__ == "__main__":
    main()
