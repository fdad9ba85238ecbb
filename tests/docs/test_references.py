from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"""\]\(([^)#\s]+)[^)]*\)|src="([^"]+)\"""")
FILE = re.compile(r"`((?:\w+/)+\w*(?:\.py)?)`")  # `kernels/tile.py`, `tests/house/`


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [a or b for a, b in LINK.findall(page.read_text())]
    assert [t for t in targets if "://" not in t and not (page.parent / t).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    made = {"runs/"}  # by make train-mnist
    names = set(FILE.findall(page.read_text())) - made
    places = ROOT, ROOT / "tinygrad_cnn"
    assert sorted(n for n in names if not any((place / n).exists() for place in places)) == []


def test_files_and_links_are_found() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert {"kernels/tile.py", "tests/house/", "kernels/"} <= set(FILE.findall(text))
    assert len(LINK.findall(text)) >= 3
