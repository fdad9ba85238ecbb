from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tinygrad_cnn.bench import sides
from tinygrad_cnn.bench.rows import PEAK, ROWS, choose
from tinygrad_cnn.bench.sides import OTHERS, OURS, PEER, Side, installed


def test_we_take_part_in_every_row_and_pytorch_in_those_that_it_has() -> None:
    assert all(OURS.takes_part(row) for row in ROWS)
    assert [row.name for row in ROWS if not PEER.takes_part(row)] == ["roi-align", "roi-pool"]
    assert OURS.takes_part(PEAK)
    assert not PEER.takes_part(PEAK)


def test_others_take_part_where_their_file_and_their_patterns_say() -> None:
    for side in OTHERS:
        rows = [row.name for row in ROWS if side.takes_part(row)]
        assert rows[:2] == ["lenet-1", "lenet-128"]
        assert len(rows) <= 3


def test_a_workload_that_a_file_lacks_is_not_its(tmp_path: Path) -> None:
    file = tmp_path / "side.py"
    file.write_text("import nowhere\n\ndef add(count):\n    def chain(length): ...\n")
    side = Side("Side", "string", file)
    assert side.takes_part(choose(["add"])[0])
    assert not side.takes_part(choose(["chain"])[0])


def test_only_what_is_installed() -> None:
    assert (PEER in installed()) == (find_spec("torch") is not None)
    assert installed()[0] is OURS
    assert not Side("Nowhere", "no_such_module", Path("x")).is_installed
    assert not Side("Program", "string", Path("x"), program="no-such-program").is_installed
    assert Side("Here", "string", Path("x")).is_installed
    assert all(side.file.is_file() for side in (OURS, PEER, *sides.OTHERS))
