"""A local store lists, reads and deletes below its root and nowhere else, and never unpickles."""

import json
import os
import pickle
import time
from pathlib import Path

import pytest
from support.unprivileged import unprivileged

from blocks.result_stores.interface import Removed, StorageBlock, StoreUnreadableError
from blocks.result_stores.local_disk import LocalDiskStore, local_root
from rules.retention.recognition import readable

METADATA = {"storage_key": "k", "expiration": None, "serializer": {"type": "pickle"}, "prefect_version": "3.8.8"}


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def store(root) -> LocalDiskStore:
    return LocalDiskStore("store", str(root))


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def record(**changes) -> bytes:
    return json.dumps({"metadata": METADATA | changes, "result": "x"}, separators=(",", ":")).encode()


def keys(store) -> list[str]:
    return sorted(listed.key for listed in store.list_objects())


def outcomes(store) -> list[Removed]:
    return [removal.outcome for removal in store.delete(list(store.list_objects()))]


def test_every_file_below_the_root_is_listed_with_size_and_time(store, root):
    write(root / "a", b"123")
    write(root / "deep" / "er" / "b")
    os.utime(root / "a", ns=(5, 7))
    found = {listed.key: listed for listed in store.list_objects()}
    assert sorted(found) == ["a", "deep/er/b"]
    assert (found["a"].size, found["a"].modified_ns) == (3, 7)


def test_directories_named_parameters_are_not_entered(store, root):
    write(root / "parameters" / "1")
    write(root / "deep" / "parameters" / "2")
    assert keys(store) == []


def test_symbolic_links_are_neither_listed_nor_entered(store, root, tmp_path):
    outside = write(tmp_path / "outside" / "precious")
    (root / "link").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    assert keys(store) == []


def test_pipes_and_sockets_are_not_listed(store, root):
    os.mkfifo(root / "pipe")
    assert keys(store) == []


def test_a_listed_file_is_deleted(store, root):
    write(root / "deep" / "a")
    assert outcomes(store) == [Removed.GONE]
    assert not (root / "deep" / "a").exists()
    assert (root / "deep").is_dir()


@pytest.mark.parametrize("content", [b"22", b"1"])
def test_a_file_that_changed_after_it_was_listed_is_left(store, root, content):
    path = write(root / "a", b"1")
    os.utime(path, (1, 1))
    listed = list(store.list_objects())
    path.write_bytes(content)
    assert [r.outcome for r in store.delete(listed)] == [Removed.CHANGED]
    assert path.read_bytes() == content


def test_a_file_that_was_replaced_by_its_like_is_left(store, root):
    path = write(root / "a", b"1")
    os.utime(path, (1, 1))
    listed = list(store.list_objects())
    keep = path.rename(root / "kept")
    write(path, b"1")
    os.utime(path, (1, 1))
    assert [r.outcome for r in store.delete(listed)] == [Removed.CHANGED]
    assert path.exists()
    assert keep.exists()


def test_a_file_that_became_a_link_does_not_lead_outside(store, root, tmp_path):
    path = write(root / "a", b"1")
    listed = list(store.list_objects())
    precious = write(tmp_path / "precious", b"1")
    path.unlink()
    path.symlink_to(precious)
    assert [r.outcome for r in store.delete(listed)] == [Removed.CHANGED]
    assert precious.exists()


def test_a_directory_that_became_a_link_does_not_lead_outside(store, root, tmp_path):
    write(root / "deep" / "a", b"1")
    listed = list(store.list_objects())
    (root / "deep").rename(tmp_path / "moved")
    (root / "deep").symlink_to(tmp_path / "moved")
    assert [r.outcome for r in store.delete(listed)] == [Removed.FAILED]
    assert (tmp_path / "moved" / "a").exists()
    assert list(store.read_metadata(listed)) == []


@pytest.mark.parametrize("gone", ["deep/a", "deep"])
def test_what_is_gone_already_is_gone(store, root, gone):
    write(root / "deep" / "a")
    listed = list(store.list_objects())
    (root / "deep" / "a").unlink()
    if gone == "deep":
        (root / "deep").rmdir()
    assert [r.outcome for r in store.delete(listed)] == [Removed.GONE]


def test_a_key_that_climbs_out_of_the_root_is_not_followed(store, root, tmp_path):
    precious = write(tmp_path / "precious")
    listed = next(iter(LocalDiskStore("all", str(tmp_path)).list_objects()))
    climbing = [listed._replace(key=key) for key in ("../precious", "./../precious")]
    assert {removal.outcome for removal in store.delete(climbing)} == {Removed.FAILED}
    assert precious.exists()


def test_nothing_is_ever_unpickled(store, root, tmp_path):
    marker = tmp_path / "marker"

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (marker,))

    write(root / "bare", pickle.dumps(Bomb()))
    write(root / "record", record() + pickle.dumps(Bomb()))
    write(root / "almost", b'{"metadata":' + pickle.dumps(Bomb()))
    listed = list(store.list_objects())
    found = dict(store.read_metadata(listed))
    assert (found["bare"], found["almost"]) == (None, None)
    assert found["record"] is not None
    list(store.delete(listed))
    assert not marker.exists()
    pickle.loads(pickle.dumps(Bomb()))
    assert marker.exists()


def test_long_metadata_is_read_whole(store, root):
    write(root / "a", record(storage_key="k" * 5_000))
    write(root / "b", record(storage_key="k" * 500_000))
    found = dict(store.read_metadata(list(store.list_objects())))
    assert len(found["a"].storage_key) == 5_000
    assert found["b"] is None


def test_what_cannot_be_read_is_left_out(store, root):
    write(root / "a")
    write(root / "deep" / "b")
    listed = list(store.list_objects())
    (root / "a").unlink()
    (root / "deep" / "b").unlink()
    (root / "deep").rmdir()
    assert dict(store.read_metadata(listed)) == {}


@pytest.mark.parametrize("name", [b"new\nline", b"caf\xe9", b"  ", b"-rf", "ünïcödé \u202e".encode(), b"a" * 255])
def test_awkward_names_survive_listing_reading_reporting_and_deletion(store, root, name):
    (root / os.fsdecode(name)).write_bytes(record())
    listed = list(store.list_objects())
    assert [os.fsencode(each.key) for each in listed] == [name]
    assert dict(store.read_metadata(listed))[listed[0].key] is not None
    json.dumps(readable(listed[0].key), ensure_ascii=False).encode()
    assert outcomes(store) == [Removed.GONE]
    assert list(root.iterdir()) == []


def test_a_root_that_is_not_there_cannot_be_listed(tmp_path):
    store = LocalDiskStore("store", str(tmp_path / "nowhere"))
    assert not store.is_there()
    with pytest.raises(StoreUnreadableError, match="no directory on this host"):
        list(store.list_objects())


def test_a_root_that_is_a_file_cannot_be_listed(tmp_path):
    store = LocalDiskStore("store", str(write(tmp_path / "file")))
    with pytest.raises(StoreUnreadableError, match="could not be listed"):
        list(store.list_objects())


def test_a_directory_that_goes_away_during_listing_is_empty(store, root):
    write(root / "deep" / "a")
    write(root / "b")
    listing = store.list_objects()
    assert next(listing).key == "b"
    (root / "deep" / "a").unlink()
    (root / "deep").rmdir()
    assert list(listing) == []


def test_another_file_system_below_the_root_is_not_entered(root):
    if not Path("/proc/self").exists():
        pytest.skip("needs a second file system that is always mounted")
    store = LocalDiskStore("store", "/")
    assert list(store._list_folder("proc", [], Path("/").stat().st_dev)) == []


def block(slug="local-file-system/b", **fields) -> StorageBlock:
    return StorageBlock("id", slug, fields)


def test_references_are_located_with_and_without_a_block(store, root):
    assert store.locate(f"{root}/deep/a", None) == "deep/a"
    assert store.locate("deep/a", block(basepath=str(root))) == "deep/a"
    assert store.locate("a", block(basepath=f"{root}/deep")) == "deep/a"
    assert store.locate("store/a", block(basepath=str(root.parent))) == "a"
    assert store.locate("a", block("remote-file-system/b", basepath=f"file://{root}")) == "a"


def test_references_that_lead_elsewhere_are_not_located(store, root):
    assert store.locate("/elsewhere/a", None) is None
    assert store.locate("relative", None) is None
    assert store.locate("../a", block(basepath=str(root))) is None
    assert store.locate("a", block(basepath=f"{root}-2")) is None
    for unknown in (block(), block(basepath=""), block(basepath="relative"), block("s3-bucket/b", basepath=str(root))):
        assert local_root(unknown) is None
        assert store.locate("a", unknown) is None


def test_a_reference_through_a_linked_directory_is_located(store, root, tmp_path):
    (root / "deep").mkdir()
    (tmp_path / "link").symlink_to(root / "deep")
    assert store.locate(f"{tmp_path}/link/a", None) == "deep/a"
    assert store.locate("a", block(basepath=str(tmp_path / "link"))) == "deep/a"


def test_a_store_named_through_a_link_is_the_same_store(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    linked = LocalDiskStore("link", str(tmp_path / "link"))
    assert linked.locate(f"{root}/a", None) == "a"
    assert linked.overlaps(LocalDiskStore("store", str(root)))


def test_stores_overlap_only_if_one_lies_in_the_other(store, root, tmp_path):
    assert store.overlaps(LocalDiskStore("inner", f"{root}/deep"))
    assert LocalDiskStore("inner", f"{root}/deep").overlaps(store)
    assert not store.overlaps(LocalDiskStore("other", f"{root}-2"))


def test_what_may_not_be_listed_or_deleted_is_an_error(store, root):
    write(root / "deep" / "a")
    listed = list(store.list_objects())
    with unprivileged(root, root / "deep"):
        (root / "deep").chmod(0o500)
        assert [r.outcome for r in store.delete(listed)] == [Removed.FAILED]
        (root / "deep").chmod(0)
        with pytest.raises(StoreUnreadableError):
            list(store.list_objects())
        (root / "deep").chmod(0o700)


def test_a_directory_in_the_place_of_a_file_is_left(store, root):
    path = write(root / "a")
    listed = list(store.list_objects())
    path.unlink()
    path.mkdir()
    assert [r.outcome for r in store.delete(listed)] == [Removed.CHANGED]


def test_deleting_keeps_pace_with_the_clock_of_the_file_system(store, root):
    """A rewrite within the same tick of the clock is the one that cannot be seen; ticks are at most 10 ms."""
    path = write(root / "a", b"1")
    listed = list(store.list_objects())
    time.sleep(0.02)
    path.write_bytes(b"2")
    assert [r.outcome for r in store.delete(listed)] == [Removed.CHANGED]
