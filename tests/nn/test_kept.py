from __future__ import annotations

from typing import Any

from tinygrad_cnn import nn
from tinygrad_cnn.nn.kept import kept


def test_what_was_found_is_kept_until_any_module_changes() -> None:
    model, other, asked = nn.Sequential(nn.ReLU()), nn.ReLU(), []

    def ask(module: Any) -> int:
        asked.append(module)
        return len(asked)

    def answer() -> int:
        return kept(model, "_kept_names", ask)

    assert (answer(), answer()) == (1, 1)
    other.inplace = True
    assert (answer(), answer()) == (2, 2)
    other.added = nn.ReLU()
    assert answer() == 3
    del other.added
    assert (answer(), answer()) == (4, 4)
    assert all(module is model for module in asked)
    assert set(vars(model)) == {"0"}


def test_a_change_while_it_is_looked_for_makes_it_stale() -> None:
    model, asked = nn.ReLU(), []

    def ask(module: nn.Module) -> int:
        module.inplace = not asked  # another thread, say
        asked.append(module)
        return len(asked)

    assert [kept(model, "_kept_runs", ask) for _ in range(3)] == [1, 2, 3]


def test_a_module_that_asks_another_for_its_attributes_keeps_its_own() -> None:
    class Wrapper(nn.Module):
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

    inner = nn.ReLU()
    wrapper = Wrapper()
    assert [kept(module, "_kept_names", id) for module in (inner, wrapper, inner)] == [
        *map(id, (inner, wrapper, inner))
    ]
