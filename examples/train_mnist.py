"""Train LeNet-5 on MNIST (or Fashion-MNIST, or synthetic digits) and report its accuracy on the whole test set."""

import sys

import tinygrad_cnn
from tinygrad_cnn import data, optim
from tinygrad_cnn import functional as F
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.training import CHECKPOINT, Run, evaluate, read_options

DATASETS = {"mnist": data.mnist, "fashion-mnist": data.fashion_mnist}
DEFAULTS = {"dataset": "mnist", "seed": 0, "epochs": 2, "batch_size": 256}
DEFAULTS["lr"] = 0.02  # the peak of the cycle; see choose_learning_rate.py
QUICK = {"dataset": "synthetic", "epochs": 2, "batch_size": 32, "lr": 0.005}


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
    optimizer = optim.Adam(model.parameters(), betas=(0.9, 0.98))
    cycle = {"epochs": config["epochs"], "steps_per_epoch": len(loader), "pct_start": 0.2, "anneal_strategy": "linear"}
    schedule = optim.OneCycleLR(optimizer, config["lr"], **cycle)
    run = Run(
        folder, model=model, optimizer=optimizer, scheduler=schedule, loader=loader, resume=resume,
        config=config | {"model": "LeNet5", "data": train_set.description}, checkpoint_every=checkpoint_every,
    )  # fmt: skip

    for _ in run.epochs(config["epochs"]):
        for x, labels in run.batches():
            scores = model(x)  # (N, 1, 28, 28) -> (N, 10)
            loss = F.cross_entropy(scores, labels, label_smoothing=0.05)

            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

            plain = F.cross_entropy(scores.detach(), labels)  # without smoothing, to compare with the test's
            run.record(plain.item(), (scores.argmax(1) == labels).sum().item(), len(labels))
        run.finish_epoch(evaluate(model, test_set))

    score = evaluate(model, test_set)
    run.finish(score, test_set.classes, f"LeNet-5 on {test_set.name}, seed {config['seed']}")
    return score


def main(words=None):
    """Read the arguments and train."""
    options = read_options(__doc__, [*DATASETS, "synthetic"], DEFAULTS, QUICK, words)
    try:
        train(options.config, options.folder, options.resume, options.data, options.checkpoint_every)
    except KeyboardInterrupt:
        kept = (options.folder / CHECKPOINT).exists()
        sys.exit(f"\nstopped; {options.folder} keeps what was done: --resume" if kept else "\nstopped before the start")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:  # no data, no checkpoint, a full disk: the message says what to do
        sys.exit(f"train_mnist: {error}")
