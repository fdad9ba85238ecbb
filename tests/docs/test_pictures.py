"""The pictures of docs/mathematics are drawn, and each page shows its own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("matplotlib")

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(page.stem for page in (DOCS / "mathematics").glob("*.md"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    found = importlib.util.spec_from_file_location("mathematics", DOCS / "pictures" / "mathematics.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_page_has_a_picture(script: ModuleType) -> None:
    assert sorted(script.PICTURES) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_its_picture(page: str) -> None:
    assert f"](../pictures/{page}.png)" in (DOCS / "mathematics" / f"{page}.md").read_text()


def test_all_are_drawn(script: ModuleType, tmp_path: Path) -> None:
    script.main(tmp_path)
    assert sorted(picture.stem for picture in tmp_path.glob("*.png")) == PAGES
    for picture in tmp_path.glob("*.png"):
        assert picture.stat().st_size > 10_000
