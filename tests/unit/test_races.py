"""Two who want opposite things of one component: one of them wins, and what is left is whole or gone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from support import parts

from xtool.context import Context
from xtool.errors import StoreError
from xtool.store import Store


def test_installing_races_removing(make_context: Callable[..., Context]) -> None:
    made = parts.recipe()
    ends = threading.Barrier(2)
    lost: list[BaseException] = []

    def install() -> None:
        store = Store(make_context(lock_timeout=30.0))
        for _ in range(25):
            ends.wait()
            try:
                store.install(made, parts.fill_of(made))
            except BaseException as error:  # noqa: BLE001 - looked at below
                lost.append(error)

    def remove() -> None:
        store = Store(make_context())
        for _ in range(25):
            ends.wait()
            # What is being made or is not there yet cannot be removed, and is said to be so.
            with suppress(StoreError):
                store.remove(made.folder)

    threads = [threading.Thread(target=work) for work in (install, remove)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []
    store = Store(make_context())
    assert all(store.verify(entry) == [] for entry in store.entries())
    assert [path for path in store.staging.iterdir() if path.is_dir()] == []
    path = store.install(made, parts.fill_of(made))
    assert (path / "share/data/a.txt").read_bytes() == b"data"


def test_a_newer_format_beside_this_one_is_left_alone(ctx: Context) -> None:
    made = parts.recipe()
    store = Store(ctx)
    newer = store.cache / "v2" / "store"
    newer.mkdir(parents=True)
    (newer / "precious").touch()
    # Without a tag of ours the folder is somebody else's.
    with pytest.raises(StoreError, match="not a cache"):
        store.install(made, parts.fill_of(made))
    (store.cache / "CACHEDIR.TAG").write_text(
        "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of xtool\n"
    )
    store.install(made, parts.fill_of(made))
    Store(ctx).remove(made.folder)
    assert (newer / "precious").exists()
