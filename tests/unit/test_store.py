"""The store: what stands under a final name is whole, read-only, and the same wherever it was made."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support import parts

from xtool import manifest
from xtool.context import Context
from xtool.errors import ArchiveError, StoreError
from xtool.locking import LockTimeout
from xtool.store import TAG, Store, is_cache, remove_tree

MakeContext = Callable[..., Context]


def install(store: Store, made: object = None, **options: object) -> Path:
    one = parts.recipe(**options)  # type: ignore[arg-type]
    return store.install(one, parts.fill_of(one))


def leftovers(store: Store) -> list[str]:
    return sorted(path.name for path in store.staging.iterdir())


def slot_of(path: Path) -> str:
    """The loader that the program asks for; the first half of its slot names the folder of libraries."""
    content = (path / "bin/slotted").read_bytes()
    assert (content[:4], content[-4:], len(content)) == (b"head", b"tail", 1032)
    return content[516:-4].rstrip(b"\0").decode()


def test_reading_creates_nothing(ctx: Context) -> None:
    store = Store(ctx)
    assert store.find(parts.recipe()) is None
    assert store.entries() == []
    assert not ctx.settings.cache_dir.exists()


def test_an_installed_component(ctx: Context) -> None:
    store = Store(ctx)
    made = parts.recipe()
    path = store.install(made, parts.fill_of(made))
    assert path == ctx.settings.cache_dir / "v1/store" / made.folder
    assert (path / "bin/tool").read_bytes() == parts.FILES["bin/tool"]
    modes = {
        str(p.relative_to(path)): stat.S_IMODE(p.stat().st_mode)
        for p in path.rglob("*")
        if not p.is_symlink()
    }
    assert modes["bin/tool"] == 0o555
    assert {mode for name, mode in modes.items() if (path / name).is_dir()} == {0o555}
    assert {m for n, m in modes.items() if (path / n).is_file() and n != "bin/tool"} == {0o444}
    assert stat.S_IMODE(path.stat().st_mode) == 0o555
    assert store.find(made) == path
    assert leftovers(store) == []
    assert is_cache(ctx.settings.cache_dir)
    [entry] = store.entries()
    assert entry.manifest is not None
    assert (entry.manifest.title, entry.manifest.count) == ("Part 1.0", 3)
    assert store.verify(entry) == []


def test_installing_again_does_not_fill_again(ctx: Context) -> None:
    install(Store(ctx))

    def fill(staging: Path, scratch: Path) -> None:
        pytest.fail("it is there already")

    Store(ctx).install(parts.recipe(), fill)


def test_other_inputs_make_another_component(ctx: Context) -> None:
    store = Store(ctx)
    assert install(store) != install(store, revision=2)
    assert len(store.entries()) == 2


def test_a_failure_leaves_nothing(ctx: Context) -> None:
    store = Store(ctx)

    def fill(staging: Path, scratch: Path) -> None:
        parts.write_files(staging, parts.FILES)
        raise ArchiveError("broken")

    with pytest.raises(ArchiveError, match="broken"):
        store.install(parts.recipe(), fill)
    assert leftovers(store) == []
    assert store.entries() == []
    assert install(store).is_dir()


@pytest.mark.parametrize(
    "code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.EACCES, errno.EROFS]
)
def test_disk_errors_are_explained(ctx: Context, code: int) -> None:
    store = Store(ctx)
    artifact = parts.artifact("big")

    def fill(staging: Path, scratch: Path) -> None:
        parts.write_files(staging, parts.FILES)
        raise OSError(code, os.strerror(code), str(staging / "usr/bin/big"))

    with pytest.raises(StoreError) as caught:
        store.install(parts.recipe(artifacts=(artifact,)), fill)
    error = caught.value
    assert error.exit_code == 5
    assert "Part 1.0" in error.message
    assert "usr/bin/big" in error.facts[0]
    assert error.hint
    if code in (errno.ENOSPC, errno.EDQUOT):
        assert "needs 1.0 MB" in error.facts[1]
        assert "free" in error.facts[1]
    assert leftovers(store) == []


def test_a_full_disk_at_the_rename(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(ctx)
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.name == "tree":
            raise OSError(errno.ENOSPC, "no room", str(path))
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(StoreError):
        install(store)
    monkeypatch.undo()
    assert leftovers(store) == []
    assert install(store).is_dir()


def test_staging_on_another_filesystem(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(ctx)
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.is_relative_to(store.staging) and not Path(target).is_relative_to(store.staging):
            raise OSError(errno.EXDEV, "other filesystem")
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    path = install(store, slot=True)
    [entry] = store.entries()
    assert store.verify(entry) == []
    assert slot_of(path) == str(path / "lib/host/ld.so")
    assert leftovers(store) == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b"[]", b'{"schema": 1}', b'{"schema": 2, "complete": true}']
)
def test_a_manifest_that_is_not_whole_is_not_trusted(ctx: Context, content: bytes) -> None:
    store = Store(ctx)
    path = install(store)
    (path / "share/xtool").chmod(0o755)
    (path / manifest.MANIFEST).chmod(0o644)
    (path / manifest.MANIFEST).write_bytes(content)
    assert store.find(parts.recipe()) is None
    assert install(store) == path
    [entry] = store.entries()
    assert store.verify(entry) == []
    assert leftovers(store) == []


def test_a_folder_without_manifest_is_replaced(ctx: Context) -> None:
    store = Store(ctx)
    store.prepare()
    path = store.path(parts.recipe())
    (path / "bin").mkdir(parents=True)
    (path / "bin/half").touch()
    assert store.find(parts.recipe()) is None
    install(store)
    assert not (path / "bin/half").exists()


def test_a_manifest_of_something_else_is_not_trusted(ctx: Context) -> None:
    store = Store(ctx)
    path = install(store)
    other = parts.recipe(revision=2)
    shutil.copytree(path, store.path(other), symlinks=True)
    assert store.find(other) is None


def damage_content(path: Path) -> str:
    (path / "share/data/a.txt").chmod(0o644)
    (path / "share/data/a.txt").write_bytes(b"dbta")
    return "share/data/a.txt: changed"


def damage_size(path: Path) -> str:
    (path / "share/data/a.txt").chmod(0o644)
    (path / "share/data/a.txt").write_bytes(b"")
    return "share/data/a.txt: 0 bytes instead of 4"


def damage_missing(path: Path) -> str:
    (path / "share/data").chmod(0o755)
    (path / "share/data/b.txt").unlink()
    return "share/data/b.txt: missing"


def damage_extra(path: Path) -> str:
    (path / "share").chmod(0o755)
    (path / "share/new").touch()
    return "share/new: unknown file"


def damage_mode(path: Path) -> str:
    (path / "bin/tool").chmod(0o444)
    return "bin/tool: other mode"


def damage_link(path: Path) -> str:
    (path / "share").chmod(0o755)
    (path / "share/link").unlink()
    return "share/link: link to `data/a.txt` missing"


def damage_list(path: Path) -> str:
    (path / manifest.FILES).chmod(0o644)
    (path / manifest.FILES).write_bytes(b"{}")
    return "share/xtool/files.json: differs from what the manifest says"


def damage_slot(path: Path) -> str:
    (path / "bin/slotted").chmod(0o755)
    content = (path / "bin/slotted").read_bytes()
    (path / "bin/slotted").write_bytes(content[:-1] + b"X")
    return "bin/slotted: changed"


@pytest.mark.parametrize(
    "damage",
    [
        damage_content,
        damage_size,
        damage_missing,
        damage_extra,
        damage_mode,
        damage_link,
        damage_list,
        damage_slot,
    ],
)
def test_verify_finds_every_change(ctx: Context, damage: Callable[[Path], str]) -> None:
    store = Store(ctx)
    path = install(store, slot=True)
    [entry] = store.entries()
    assert store.verify(entry) == []
    says = damage(path)
    assert store.verify(entry) == [says]


def test_a_tree_does_not_depend_on_place_umask_or_time(make_context: MakeContext, tmp_path: Path) -> None:
    trees = []
    for name, mask in (("here", 0o022), ("a much longer place / with spaces \u00e9", 0o077)):
        before = os.umask(mask)
        try:
            store = Store(make_context(cache_dir=tmp_path / name))
            path = install(store, slot=True)
        finally:
            os.umask(before)
        [entry] = store.entries()
        assert entry.manifest is not None
        modes = [
            (str(p.relative_to(path)), p.lstat().st_mode, p.lstat().st_mtime) for p in sorted(path.rglob("*"))
        ]
        trees.append((entry.manifest.tree, modes))
        assert slot_of(path) == f"{path}/lib/host/ld.so"
    assert trees[0] == trees[1]


@pytest.mark.parametrize("how", ["move", "copy"])
def test_a_cache_that_moves_mends_itself(make_context: MakeContext, tmp_path: Path, how: str) -> None:
    made = parts.recipe(slot=True)
    old = install(Store(make_context(cache_dir=tmp_path / "old")), slot=True)
    if how == "move":
        (tmp_path / "old").rename(tmp_path / "new")
    else:
        subprocess.run(["cp", "-a", tmp_path / "old", tmp_path / "new"], check=True)
    store = Store(make_context(cache_dir=tmp_path / "new"))
    path = store.find(made)
    assert path is not None
    assert path.is_relative_to(tmp_path / "new")
    assert slot_of(path) == f"{path}/lib/host/ld.so"
    assert stat.S_IMODE((path / "bin/slotted").stat().st_mode) == 0o555
    [entry] = store.entries()
    assert store.verify(entry) == []
    if how == "copy":
        assert slot_of(old) == f"{old}/lib/host/ld.so"


def test_another_spelling_of_the_same_place_is_no_move(make_context: MakeContext, tmp_path: Path) -> None:
    path = install(Store(make_context(cache_dir=tmp_path / "real")), slot=True)
    (tmp_path / "alias").symlink_to("real")
    found = Store(make_context(cache_dir=tmp_path / "alias")).find(parts.recipe(slot=True))
    assert found is not None
    assert slot_of(found) == f"{path}/lib/host/ld.so"


def test_a_moved_cache_that_cannot_be_written(
    make_context: MakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(Store(make_context(cache_dir=tmp_path / "old")), slot=True)
    (tmp_path / "old").rename(tmp_path / "new")

    def chmod(path: Path, mode: int) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "chmod", chmod)
    with pytest.raises(StoreError) as caught:
        Store(make_context(cache_dir=tmp_path / "new")).find(parts.recipe(slot=True))
    assert "was moved" in caught.value.message
    assert "xtool cache import" in str(caught.value.hint)


def test_without_slots_a_moved_cache_needs_no_writing(make_context: MakeContext, tmp_path: Path) -> None:
    install(Store(make_context(cache_dir=tmp_path / "old")))
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "new/v1/locks").rename(tmp_path / "new/v1/gone")
    assert Store(make_context(cache_dir=tmp_path / "new")).find(parts.recipe()) is not None
    assert not (tmp_path / "new/v1/locks").exists()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "data/../../../x"])
def test_links_that_lead_out_are_refused(ctx: Context, target: str) -> None:
    def fill(staging: Path, scratch: Path) -> None:
        (staging / "share").mkdir()
        (staging / "share/l").symlink_to(target)

    with pytest.raises(StoreError, match="leads out"):
        Store(ctx).install(parts.recipe(), fill)


def test_folders_of_mode_zero_can_be_removed(ctx: Context) -> None:
    store = Store(ctx)

    def fill(staging: Path, scratch: Path) -> None:
        (scratch / "locked/inner").mkdir(parents=True)
        (scratch / "locked/inner/file").touch()
        (scratch / "locked/inner").chmod(0)
        (scratch / "locked").chmod(0)

    store.install(parts.recipe(), fill)
    assert leftovers(store) == []


def test_removing(ctx: Context) -> None:
    store = Store(ctx)
    path = install(store)
    store.remove(path.name)
    assert not path.exists()
    assert leftovers(store) == []
    for name in ("../downloads", "a/b", ".hidden"):
        with pytest.raises(StoreError):
            store.remove(name)


def test_what_is_in_use_is_not_removed(ctx: Context) -> None:
    store = Store(ctx)
    path = install(store)
    with store.using([path / "bin/tool", Path("/elsewhere")]):
        with pytest.raises(LockTimeout):
            Store(ctx).remove(path.name)
        assert (path / "bin/tool").is_file()
    store.remove(path.name)
    with pytest.raises(StoreError, match="removed from the cache"), store.using([path]):
        pytest.fail("it is gone")


def test_a_cache_without_locks_can_be_used(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(ctx)
    path = install(store)
    remove_tree(store.locks)
    with store.using([path]):
        assert (path / "bin/tool").is_file()


def test_sweeping_spares_the_living(ctx: Context) -> None:
    store = Store(ctx)
    store.prepare()
    dead = store.staging / "gone.0123"
    (dead / "tree/bin").mkdir(parents=True)
    (dead / "tree/bin").chmod(0o555)
    (store.staging / "gone.0123.lock").touch()
    copied = store.components / ".gone.0123"
    copied.mkdir()
    with store.area("part", "Part", need=0) as area:
        assert not dead.exists()
        assert not copied.exists()
        assert Store(ctx).sweep() == 0
        assert area.is_dir()
    assert leftovers(store) == []


def test_eight_at_once_make_it_once(ctx: Context) -> None:
    made, filled = parts.recipe(), []
    start = threading.Barrier(8)
    found: list[Path] = []

    def work() -> None:
        start.wait()
        found.append(Store(ctx).install(made, fill))

    def fill(staging: Path, scratch: Path) -> None:
        filled.append(1)
        parts.fill_of(made)(staging, scratch)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == len(filled) == 1


def test_a_folder_with_other_things_is_not_taken_as_cache(make_context: MakeContext, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").touch()
    with pytest.raises(StoreError, match="not a cache") as caught:
        install(Store(make_context(cache_dir=home)))
    assert "thesis.tex" in caught.value.facts[0]
    assert sorted(p.name for p in home.iterdir()) == ["thesis.tex"]


def test_an_empty_folder_is_taken_as_cache(make_context: MakeContext, tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert install(Store(make_context(cache_dir=tmp_path))).is_dir()
    assert (tmp_path / TAG).read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


def test_a_link_in_place_of_the_store(make_context: MakeContext, tmp_path: Path) -> None:
    install(Store(make_context(cache_dir=tmp_path / "mine")))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/v1").symlink_to(tmp_path / "mine/v1")
    with pytest.raises(StoreError, match="not a folder"):
        Store(make_context(cache_dir=tmp_path / "other")).find(parts.recipe())


def test_a_store_of_another_user(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    install(Store(ctx))
    owner = ctx.settings.cache_dir.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        # A store that root filled is as good as the system itself.
        assert Store(ctx).find(parts.recipe()) is not None
        real = os.lstat

        def lstat(path: Path) -> os.stat_result:
            fields = list(real(path))
            fields[stat.ST_UID] = 4711
            return os.stat_result(fields)

        monkeypatch.setattr(os, "lstat", lstat)
    with pytest.raises(StoreError, match="another user") as caught:
        Store(ctx).find(parts.recipe())
    assert "XTOOL_CACHE_DIR" in str(caught.value.hint)


def test_a_cache_folder_that_cannot_be_made(make_context: MakeContext, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        install(Store(make_context(cache_dir=tmp_path / "file" / "cache")))
    assert str(tmp_path / "file") in caught.value.facts[0]


READ_ONLY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support import parts
from xtool.config import Settings
from xtool.context import Context
from xtool.errors import StoreError
from xtool.log import SilentLog
from xtool.store import Store
import os
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
store = Store(Context(Settings(Path(sys.argv[2])), SilentLog(), {}))
path = store.find(parts.recipe())
with store.using([path]):
    print((path / "share/data/a.txt").read_text())
other = parts.recipe(revision=2)
try:
    store.install(other, parts.fill_of(other))
except StoreError as error:
    print(error.exit_code, error.hint)
"""


def test_a_read_only_cache_works_for_what_is_there(ctx: Context) -> None:
    # Not below pytest's own folder: another user may not look into that.
    cache = Path(tempfile.mkdtemp(prefix="xtool-read-only-"))
    ours = Context(type(ctx.settings)(cache), ctx.log, {})
    try:
        install(Store(ours))
        for base, folders, files in os.walk(cache):
            for name in (*folders, *files):
                path = Path(base, name)
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode & 0o555 | 0o444)
        cache.chmod(0o555)
        tests = Path(__file__).parent.parent
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, tests, cache], capture_output=True, text=True, check=False
        )
        assert done.stdout.splitlines()[0] == "data", done.stderr
        assert done.stdout.splitlines()[1].startswith("5 ")
        assert "XTOOL_CACHE_DIR" in done.stdout
    finally:
        remove_tree(cache)


def test_the_manifest_says_what_it_was_made_from(ctx: Context) -> None:
    made = parts.recipe()
    path = install(Store(ctx))
    document = json.loads((path / manifest.MANIFEST).read_text())
    assert document["digest"] == made.digest
    assert document["inputs"] == made.inputs
    assert document["stands_at"] == str(path)
