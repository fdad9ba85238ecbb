"""One test file for each source file, at the mirrored place, and no other."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
MIRRORED = {ROOT / "tinygrad_cnn": ROOT / "tests", ROOT / "examples": ROOT / "tests" / "examples"}
WITHOUT_SOURCE = {"house", "docs", "test_bad_arguments.py"}  # tests of the house itself, of pages, of the whole package


def expected_tests() -> set[Path]:
    """Return where the tests of each source file belong: a/b.py -> tests/a/test_b.py."""
    return {
        tests / path.relative_to(sources).parent / f"test_{path.stem.strip('_')}.py"
        for sources, tests in MIRRORED.items()
        for path in sources.rglob("*.py")
        if path.name != "__init__.py"
    }


def actual_tests() -> set[Path]:
    tests = ROOT / "tests"
    return {path for path in tests.rglob("test_*.py") if path.relative_to(tests).parts[0] not in WITHOUT_SOURCE}


def names(paths: set[Path]) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def test_every_source_file_has_its_tests() -> None:
    assert names(expected_tests() - actual_tests()) == []


def test_every_test_file_has_its_source() -> None:
    assert names(actual_tests() - expected_tests()) == []


def test_a_test_file_tests_something() -> None:
    assert [name for name in names(actual_tests()) if "def test_" not in (ROOT / name).read_text()] == []
