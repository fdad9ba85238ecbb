from __future__ import annotations

from tinygrad_cnn.bench.summary import Summary, compare, summarise


def test_median_and_the_middle_80_percent() -> None:
    assert summarise([float(x) for x in range(100, -1, -1)]) == Summary(50.0, 10.0, 90.0, 101)
    assert summarise([3.0]) == Summary(3.0, 3.0, 3.0, 1)
    assert all(type(x) is float for x in summarise([1.0, 2.0])[:3])


def test_one_disturbed_sample_does_not_count() -> None:
    assert summarise([*[1.0] * 19, 1000.0]) == Summary(1.0, 1.0, 1.0, 20)


def test_ratios_are_the_peers_over_ours() -> None:
    peer, ours = Summary(6.0, 5.0, 90.0, 9), Summary(4.0, 2.0, 8.0, 3)
    assert compare(peer, ours) == (1.5, 2.5)
    assert compare(ours, peer).median < 1
