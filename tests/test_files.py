from __future__ import annotations

import errno
import os
import subprocess
import sys
import time

import pytest

from tinygrad_cnn.files import atomic_write


def write(path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "file"
    write(path, b"old")
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_the_old_file_stays_until_the_end(tmp_path):
    path = tmp_path / "file"
    write(path, b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt(), MemoryError()])
def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    write(path, b"old")

    def fail_halfway():
        with atomic_write(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(type(error)):
        fail_halfway()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken disk"), KeyboardInterrupt()])
def test_a_failing_system_call_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call, error):
    path = tmp_path / "file"
    write(path, b"old")

    def fail(*args):
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_the_bytes_are_on_the_disk_before_the_rename_and_the_name_after_it(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append(f"fsync {os.fstat(fd).st_size}"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *names: (events.append("replace"), replace(*names)))
    write(tmp_path / "file", b"12345")
    assert events[:2] == ["fsync 5", "replace"]
    assert len(events) == 3  # the folder


@pytest.mark.parametrize(("code", "raises"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_only_file_systems_that_cannot_sync_folders_are_excused(tmp_path, monkeypatch, code, raises):
    fsync = os.fsync

    def fail_on_folders(descriptor):
        if os.path.isdir(f"/dev/fd/{descriptor}"):
            raise OSError(code, "no")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_on_folders)
    path = tmp_path / "file"
    if raises:
        with pytest.raises(OSError, match="no"):
            write(path, b"whole")
    else:
        write(path, b"whole")
    assert path.read_bytes() == b"whole"


def test_writes_through_a_symbolic_link(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent does not exist; create it first"):
        write(tmp_path / "absent" / "file", b"")


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    path = tmp_path / "file"
    script = (
        "import sys, time; from tinygrad_cnn.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write(b'half'); file.flush(); print('ready', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        write(path, b"one")
        beside_a_living_writer = os.listdir(tmp_path)
        writer.kill()
    assert len(beside_a_living_writer) == 2
    (tmp_path / ".file2.1234.tmp").write_bytes(b"of another file")
    write(path, b"two")
    assert sorted(os.listdir(tmp_path)) == [".file2.1234.tmp", "file"]
    assert path.read_bytes() == b"two"


@pytest.mark.parametrize("delay", [0.0, 0.011, 0.023, 0.037])
def test_kill_in_the_middle_of_writes_leaves_a_whole_file(tmp_path, delay):
    path = tmp_path / "file"
    script = (
        "import sys; from tinygrad_cnn.files import atomic_write\n"
        "for k in range(10**9):\n"
        "    with atomic_write(sys.argv[1]) as file:\n"
        "        for _ in range(64): file.write(bytes([k % 256]) * 10_000)\n"
        "    if k == 0: print('ready', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        time.sleep(delay)
        writer.kill()
    content = path.read_bytes()
    assert len(content) == 640_000
    assert len(set(content)) == 1


def test_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(OSError, match=r"No space left.*weights") as error, atomic_write(tmp_path / "weights"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.filename == str(tmp_path / "weights")
