import errno
import multiprocessing
import os
from pathlib import Path

import pytest

from mosegnet.common import files
from profiler.convert.cache import ModelCache, user_cache

KEYS = [f"{number:02x}" * 32 for number in range(10)]


@pytest.fixture
def cache(tmp_path):
    return ModelCache(tmp_path / "om")


def the_files(cache):
    return [path for path in cache.folder.rglob("*") if path.is_file()]


def test_what_was_put_is_got(cache):
    assert cache.get(KEYS[0]) is None
    cache.put(KEYS[0], b"model")
    assert cache.get(KEYS[0]) == b"model"
    assert ModelCache(cache.folder).get(KEYS[0]) == b"model"
    assert cache.get(KEYS[1]) is None


@pytest.mark.parametrize("damage", [b"", b"mode", b"modem", b"model and more"])
def test_a_damaged_entry_is_removed_with_a_warning(cache, capsys, damage):
    cache.put(KEYS[0], b"model")
    (file,) = the_files(cache)
    file.write_bytes(damage)
    assert cache.get(KEYS[0]) is None
    assert f"{file} was damaged" in capsys.readouterr().err.replace("\n", "")
    assert the_files(cache) == []
    cache.put(KEYS[0], b"model")
    assert cache.get(KEYS[0]) == b"model"


def test_an_undamaged_twin_serves(cache):
    """Two processes that converted the same left two files."""
    cache.put(KEYS[0], b"one")
    cache.put(KEYS[0], b"two")
    one = next(file for file in the_files(cache) if file.read_bytes() == b"one")
    one.write_bytes(b"damaged")
    assert cache.get(KEYS[0]) == b"two"


def test_the_least_recently_used_go(tmp_path):
    cache = ModelCache(tmp_path, limit_bytes=1000)
    for number, key in enumerate(KEYS[:5]):
        cache.put(key, bytes(200))
        (file,) = tmp_path.glob(f"*/{key}.*")
        os.utime(file, (number, number))
    assert cache.get(KEYS[0]) is not None  # used now
    cache.put(KEYS[5], bytes(200))
    left = [key for key in KEYS[:6] if cache.get(key) is not None]
    assert left == [KEYS[0], KEYS[3], KEYS[4], KEYS[5]]
    assert sum(file.stat().st_size for file in the_files(cache)) <= 1000


def test_what_exceeds_the_limit_alone_is_not_kept(tmp_path):
    cache = ModelCache(tmp_path, limit_bytes=1000)
    cache.put(KEYS[0], bytes(10))
    cache.put(KEYS[1], bytes(1001))
    assert cache.get(KEYS[0]) is not None
    assert cache.get(KEYS[1]) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_disk_that_cannot_be_written_is_said_once_and_reading_goes_on(cache, monkeypatch, capsys, number):
    cache.put(KEYS[0], b"model")

    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", fail)
    cache.put(KEYS[1], b"model")
    cache.put(KEYS[2], b"model")
    assert capsys.readouterr().err.count("not cached any more") == 1
    assert cache.get(KEYS[0]) == b"model"
    assert cache.get(KEYS[1]) is None
    assert len(the_files(cache)) == 1  # no part is left


def test_several_processes_at_once_never_see_a_part(tmp_path):
    """All put and get the same few keys, in a folder so small that they remove each other's files."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=put_and_get, args=(tmp_path, seed)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 3
    assert not list(tmp_path.rglob("*.part"))


def put_and_get(folder: Path, seed: int) -> None:
    cache = ModelCache(folder, limit_bytes=300_000)
    for number in range(40):
        key = KEYS[(number * (seed + 1)) % 7]
        cache.put(key, (key + f"{seed}{number}").encode() * 700)
        data = cache.get(key)
        assert data is None or data.startswith(key.encode())
    assert cache._writable


def test_parts_go_only_when_nobody_can_still_be_at_them(tmp_path):
    cache = ModelCache(tmp_path, limit_bytes=1000)
    shelf = tmp_path / KEYS[0][:2]
    shelf.mkdir()
    for name in ("new", "old"):
        (shelf / f".{name}.part").write_bytes(bytes(900))
    os.utime(shelf / ".old.part", (1e9, 1e9))
    cache.put(KEYS[0], bytes(200))
    assert {file.name for file in the_files(cache)} > {".new.part"}
    assert not (shelf / ".old.part").exists()


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert ModelCache().folder == tmp_path / "mosegnas/om"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/paths/do/not/count")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache/mosegnas"
