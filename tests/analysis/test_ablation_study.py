from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import no_grad
from tinygrad_cnn.analysis import AblationStudy, ablate_each, ablation_study
from tinygrad_cnn.analysis.ablation_study import over_runs
from tinygrad_cnn.models import LeNet5

LABELS = np.arange(300) % 3


def run(parts, seed):
    """Without A a tenth more of the images are wrong, without B none; the seed's luck is the same for all."""
    luck = np.random.default_rng(seed).permutation(300)
    wrong = luck < 30 + seed + 30 * ("A" not in parts)
    return LABELS, np.where(wrong, (LABELS + 1) % 3, LABELS)


def test_what_a_component_is_worth_is_paired_by_seed():
    calls = []
    study = ablation_study(lambda parts, seed: calls.append((sorted(parts), seed)) or run(parts, seed), ["A", "B"])
    assert calls == [(parts, seed) for parts in (["A", "B"], ["B"], ["A"]) for seed in (0, 1, 2)]
    assert study.variants == ["full", "A", "B"]
    assert study.predictions["A"].shape == (3, 300)
    accuracy = study.accuracy()
    np.testing.assert_allclose(accuracy.value, 1 - 31 / 300)
    np.testing.assert_allclose(accuracy.high - accuracy.value, 4.303 * (1 / 300) / np.sqrt(3))
    np.testing.assert_allclose(study.worth("A"), [0.1, 0.1, 0.1])  # the seeds differ, the pairs do not
    np.testing.assert_array_equal(study.worth("B"), [0, 0, 0])


def test_one_run_has_the_spread_of_images():
    study = ablation_study(run, ["A", "B"], seeds=[0])
    value, low, high = study.accuracy()
    # Wilson's interval solves |p - x| = z sqrt(x (1 - x) / n)
    for bound in (low, high):
        np.testing.assert_allclose(abs(value - bound), 1.95996 * np.sqrt(bound * (1 - bound) / 300))
    value, low, high = study.worth("A")
    assert value == 0.1
    assert 0.06 < low < value < high < 0.14
    value, low, high = study.worth("B")
    assert value == 0
    assert low == -high < 0  # equal on 300 images is not equal everywhere


def test_wide_intervals_hold_the_truth():
    generator, inside, worth = np.random.default_rng(0), [], []
    labels = np.zeros(200, int)
    for _ in range(400):
        predictions = {"full": generator.random((1, 200)) > 0.9, "A": generator.random((1, 200)) > 0.8}
        study = AblationStudy(labels, predictions)
        inside.append(study.accuracy().low <= 0.9 <= study.accuracy().high)
        worth.append(study.worth("A").low <= 0.1 <= study.worth("A").high)
    assert 0.92 < np.mean(inside) < 0.98
    assert 0.92 < np.mean(worth) < 0.98
    means = [over_runs(generator.standard_normal(4)) for _ in range(1000)]
    assert 0.93 < np.mean([low < 0 < high for _, low, high in means]) < 0.97


def test_many_runs_meet_the_table_of_student():
    values = np.random.default_rng(0).standard_normal(31)
    for count, t in [(11, 2.228), (13, 2.179), (31, 2.042)]:
        mean, _, high = over_runs(values[:count])
        np.testing.assert_allclose((high - mean) * np.sqrt(count) / values[:count].std(ddof=1), t, atol=3e-3)
    with pytest.raises(ValueError, match="the spread of 1 runs is unknown"):
        over_runs([0.9])


def test_classes_one_by_one():
    study = AblationStudy(np.array([0, 0, 1, 3]), {"full": np.array([[0, 1, 1, 3]]), "A": np.array([[0, 0, 0, 3]])})
    np.testing.assert_array_equal(study.per_class(), [0.5, 1, np.nan, 1])
    np.testing.assert_array_equal(study.per_class("A"), [1, 0, np.nan, 1])
    head, full, without, note = study.table(["zero", "one", "two", "a long name"]).splitlines()
    assert head.split() == ["accuracy,", "%", "lost", "without", "it", "zero", "one", "two", "a", "long", "name"]
    assert full.split()[0] == "full"
    assert full.split()[-4:] == ["50.0", "100.0", "nan", "100.0"]
    assert without.startswith("without A")
    assert without.split()[-4:] == ["+50.0", "-100.0", "+nan", "+0.0"]
    assert note == "4 images, one run: 95 % intervals over images"
    assert len({len(line) for line in (head, full, without)}) == 1
    assert "2 paired runs" in str(ablation_study(run, ["A"], [0, 1]))


def test_each_address_of_a_trained_network():
    model, x = LeNet5(generator=np.random.default_rng(0)), np.random.default_rng(0).standard_normal((40, 1, 28, 28))
    x = x.astype(np.float32)
    with no_grad():
        labels = model(x).data.argmax(1)

        def evaluate(model):
            return labels, model(x).data.argmax(1)

        study = ablate_each(model, ["classifier.fc3", "features.conv1", ("classifier.fc3", (0, 1))], evaluate)
    assert study.accuracy().value == 1
    assert ablation_study(lambda parts, seed: (LABELS[:3], LABELS[[0, 1, seed]]), [], [1, 2]).accuracy()[1:] == (0, 1)
    assert set(study.predictions["classifier.fc3"][0]) == {0}  # all scores are 0
    assert study.variants[-1] == "classifier.fc3[0, 1]"
    kept = study.predictions["classifier.fc3[0, 1]"][0]
    np.testing.assert_array_equal(kept[labels > 1], labels[labels > 1])
    np.testing.assert_array_equal(evaluate(model)[1], labels)
    with pytest.raises(KeyError, match="did not come by 'conv9'"):
        ablate_each(model, ["conv9"], evaluate)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((run, ["A"], []), "at least one seed"),
        ((run, ["A", "A"]), "components must be different names"),
        ((run, ["full"]), "none 'full'"),
        ((lambda parts, seed: (LABELS + seed, LABELS), ["A"]), "a run of 'full' must return the labels"),
        ((lambda parts, seed: (LABELS, LABELS[1:]), ["A"]), r"got shapes \(300,\) and \(299,\)"),
        ((lambda parts, seed: (LABELS[:0], LABELS[:0]), ["A"]), "the test set is empty"),
    ],
)
def test_studies_that_cannot_be_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        ablation_study(*arguments)


def test_a_variant_that_is_none():
    with pytest.raises(KeyError, match="no variant 'C'; it has full, A"):
        ablation_study(run, ["A"], [0]).worth("C")


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: over_runs(3), ValueError, "values must be numbers"),
        (lambda: over_runs("a"), ValueError, "values must be numbers"),
        (lambda: ablation_study(run, 3), TypeError, "components must be a list, got 3"),
        (lambda: ablation_study(run, "AB"), TypeError, "components must be a list"),
        (lambda: ablation_study(run, ["A"], 3), TypeError, "seeds must be a list, got 3"),
        (
            lambda: ablation_study(lambda parts, seed: 3, ["A"]),
            TypeError,
            "a run must return labels and predictions, both .* got 3",
        ),
        (
            lambda: ablate_each(LeNet5(), "features.conv1", lambda model: (LABELS, LABELS)),
            TypeError,
            "needs a list of addresses and a function",
        ),
        (lambda: ablate_each(LeNet5(), ["features.conv1"], 3), TypeError, "and a function, got .* and 3"),
        (lambda: ablate_each(LeNet5(), [3], lambda model: (LABELS, LABELS)), TypeError, "an address is 'conv1', or"),
    ],
)
def test_arguments_of_another_kind_are_told(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
