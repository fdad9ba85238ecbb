"""Train LeNet-5 on MNIST (or Fashion-MNIST, or synthetic digits) and report its accuracy on the whole test set."""

import argparse
import sys

import tinygrad_cnn
from tinygrad_cnn import data, optim
from tinygrad_cnn import functional as F
from tinygrad_cnn.interop import latest_checkpoint, load_checkpoint
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.training import Run, evaluate, new_folder

DATASETS = {"mnist": data.mnist, "fashion-mnist": data.fashion_mnist}


def load(name, path):
    """Return the training set and the test set."""
    if name == "synthetic":
        return data.synthetic_digits(2000, seed=0), data.synthetic_digits(1000, seed=1)
    return DATASETS[name]("train", path), DATASETS[name]("test", path)


def train(config, folder, resume=False, path=None, checkpoint_every=0):
    """Train as ``config`` says and return the score of the last epoch's weights on the test set."""
    tinygrad_cnn.manual_seed(config["seed"])
    train_set, test_set = load(config["dataset"], path)
    loader = data.DataLoader(train_set, config["batch_size"], shuffle=True)

    model = LeNet5()
    optimizer = optim.Adam(model.parameters())
    schedule = optim.OneCycleLR(optimizer, config["lr"], epochs=config["epochs"], steps_per_epoch=len(loader))
    run = Run(
        folder, model=model, optimizer=optimizer, scheduler=schedule, loader=loader, resume=resume,
        config=config | {"model": "LeNet5", "data": train_set.description}, checkpoint_every=checkpoint_every,
    )  # fmt: skip

    for _ in run.epochs(config["epochs"]):
        for x, labels in run.batches():
            scores = model(x)  # (N, 1, 28, 28) -> (N, 10)
            loss = F.cross_entropy(scores, labels)

            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

            run.record(loss.item(), (scores.argmax(1) == labels).sum().item(), len(labels))
        run.finish_epoch(evaluate(model, test_set))

    score = evaluate(model, test_set)
    run.finish(score, test_set.classes, f"LeNet-5 on {test_set.name}, seed {config['seed']}")
    return score


def at_least(least, kind=int):
    """Return a reader of numbers that are not below ``least``."""

    def number(text):
        if not (value := kind(text)) >= least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}")
        return value

    return number


def main(words=None):
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", choices=[*DATASETS, "synthetic"], default="mnist")
    parser.add_argument("--data", help="a folder with the four IDX files, instead of searching for them")
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--epochs", type=at_least(1), default=4)
    parser.add_argument("--batch-size", type=at_least(1), default=128)
    parser.add_argument("--lr", type=at_least(0, float), default=0.005, help="the largest learning rate of the cycle")
    parser.add_argument("--quick", action="store_true", help="two epochs on synthetic digits, in seconds")
    parser.add_argument("--resume", action="store_true", help="continue the newest run")
    parser.add_argument("--runs", default="runs", help="the folder that runs are kept in")
    parser.add_argument("--checkpoint-every", type=at_least(0), default=0, help="batches between checkpoints")
    options = parser.parse_args(words)

    if options.resume:  # the run knows what it is: dataset, seed and the rest come from its checkpoint
        checkpoint = latest_checkpoint(options.runs)
        config, folder = load_checkpoint(checkpoint, generators={})["config"], checkpoint.parent
    else:
        quick = {"dataset": "synthetic", "epochs": 2, "batch_size": 32} if options.quick else {}
        config = {key: getattr(options, key) for key in ("dataset", "seed", "epochs", "batch_size", "lr")} | quick
        folder = new_folder(options.runs, f"{config['dataset']}-seed{config['seed']}")
    try:
        train(config, folder, options.resume, options.data, options.checkpoint_every)
    except KeyboardInterrupt:
        sys.exit(f"\nstopped; {folder} keeps what was done: continue with --resume")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:  # no data, no checkpoint, a full disk: the message says what to do
        sys.exit(f"train_mnist: {error}")
