"""Making a lock: every declared package's exact file, through the signed chain."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from xtool.artifacts import Artifact, VerifiedFile
from xtool.catalog import Catalog, Declaration, Lock, PackageSet, SuiteEvidence, merge_evidence
from xtool.context import Context
from xtool.errors import CatalogError
from xtool.fetch.debfile import unpacked_size
from xtool.fetch.debian import Chain, artifact_of, default_downloads, index_arch
from xtool.fetch.fetcher import fetch
from xtool.fetch.lockfile import render
from xtool.fetch.release import Package, highest
from xtool.targets import Host, Target

_UNKNOWN = 1
"""Stands for the unpacked size until the package has been measured."""


def resolve(
    ctx: Context,
    catalog: Catalog,
    host: Host,
    target: Target,
    *,
    as_of: datetime | None = None,
    keep: Collection[str] = (),
    like: Host | None = None,
) -> str:
    """Make the text of a fresh lock for a host and a target.

    Every package is downloaded once, compared with the signed index, and measured. An index older than the
    one that the present lock was made from is refused.

    Args:
        ctx: settings, log, environment.
        catalog: what is declared, and who may sign.
        host: the machine that the toolchain runs on.
        target: the target.
        as_of: the day that the indexes of a frozen mirror must have been valid on; today's if not given.
        keep: suites that are not asked: what the present lock says of their packages stays.
        like: another host, whose lock says which of the target's own packages are taken: what runs on the
            target is then the same on both.

    Raises:
        CatalogError: a declared package does not exist in its suite and architecture, or in the present lock
            where its suite is to be kept.
        IntegrityError: a signature or a hash does not hold.
        NetworkError: something cannot be fetched.
    """
    declarations = catalog.declarations(host, target)
    path = catalog.lock_path(host, target)
    present = catalog.lock(host, target) if path.is_file() else None
    seen = present.evidence if present else {}
    chain = Chain(ctx, catalog, seen=seen, as_of=as_of)
    known = _Known(host, keep, present, catalog.lock(like, target) if like else None)
    with ctx.log.step("Reading signed package indexes"):
        indexes = _read_indexes(chain, declarations.values(), host, known)
    components = {
        declaration.name: [
            artifact
            for block in declaration.packages
            for artifact in (
                known.of(declaration, block)
                if known.covers(block)
                else _block(chain, declaration, block, indexes, host)
            )
        ]
        for declaration in declarations.values()
    }
    blocks = [block for declaration in declarations.values() for block in declaration.packages]
    asked = {block.suite: chain.evidence(block.suite) for block in blocks if not known.covers(block)}
    evidence = known.evidence(asked, {block.suite for block in blocks})
    every = [artifact for items in components.values() for artifact in items]
    sizes = {artifact.sha256: artifact.unpacked_size for artifact in every}
    sizes |= measure(ctx, catalog, [a for a in every if a.unpacked_size == _UNKNOWN], evidence)
    return render(
        host=host.name,
        target=target.name,
        declaration=catalog.declaration_digest(host, target),
        evidence=evidence.values(),
        components={
            name: [replace(artifact, unpacked_size=sizes[artifact.sha256]) for artifact in items]
            for name, items in components.items()
        },
    )


_Indexes = Mapping[tuple[str, str], Mapping[str, list[Package]]]


def _read_indexes(chain: Chain, declarations: Iterable[Declaration], host: Host, known: _Known) -> _Indexes:
    wanted: dict[tuple[str, str], set[str]] = {}
    for declaration in declarations:
        for block in declaration.packages:
            if not known.covers(block):
                arch = index_arch(block.arch, host.debian)
                wanted.setdefault((block.suite, arch), set()).update(block.names)
    return {(suite, arch): chain.packages(suite, arch, names) for (suite, arch), names in wanted.items()}


def _block(
    chain: Chain, declaration: Declaration, block: PackageSet, indexes: _Indexes, host: Host
) -> Iterable[Artifact]:
    archive = chain.archive(block.suite).name
    index = indexes[block.suite, index_arch(block.arch, host.debian)]
    for name in block.names:
        package = highest(index[name], block.arch)
        if package is None:
            there = sorted({f"{other.version} for {other.arch}" for other in index[name]})
            raise CatalogError(
                f"component {declaration.name}: {block.suite} has no package {name} for {block.arch}",
                facts=there,
                hint="mend components.toml",
            )
        yield artifact_of(package, archive, block.suite, _UNKNOWN)


class _Known:
    """What locks that are there say, of blocks that no index is asked about.

    Args:
        host: the machine that the lock is made for.
        keep: suites of which the present lock's word stands.
        present: the present lock, if there is one.
        like: the same target's lock for another host, for the packages of the target's own architecture.
    """

    def __init__(self, host: Host, keep: Collection[str], present: Lock | None, like: Lock | None) -> None:
        self._host = host
        self._keep = frozenset(keep)
        self._present = present
        self._like = like

    def covers(self, block: PackageSet) -> bool:
        """Whether a block's packages are taken from a lock."""
        return block.suite in self._keep or self._is_alike(block)

    def of(self, declaration: Declaration, block: PackageSet) -> Iterable[Artifact]:
        """The packages of a block.

        Raises:
            CatalogError: the lock lacks one.
        """
        lock, option = (
            (self._like, "--like") if self._is_alike(block) else (self._present, f"--keep {block.suite}")
        )
        every = (artifact for items in (lock.components if lock else {}).values() for artifact in items)
        found = {(a.arch, a.name): a for a in every if a.suite == block.suite}
        for name in block.names:
            artifact = found.get((block.arch, name)) or found.get(("all", name))
            if artifact is None:
                raise CatalogError(
                    f"component {declaration.name}: the lock that is there has no package {name} for "
                    f"{block.arch} of {block.suite}",
                    hint=f"make the lock without `{option}`",
                )
            yield artifact

    def evidence(
        self, asked: Mapping[str, SuiteEvidence], suites: Collection[str]
    ) -> dict[str, SuiteEvidence]:
        """What the new lock says of each suite: what the index says, and the locks that files came from."""
        present = self._present.evidence if self._present else {}
        kept = {suite: one for suite, one in present.items() if suite in self._keep}
        alike = self._like.evidence if self._like else {}
        merged = merge_evidence([asked, kept, alike])
        return {suite: merged[suite] for suite in sorted(suites)}

    def _is_alike(self, block: PackageSet) -> bool:
        return self._like is not None and block.arch not in (self._host.debian, "all")


def measure(
    ctx: Context, catalog: Catalog, artifacts: Iterable[Artifact], evidence: Mapping[str, SuiteEvidence]
) -> dict[str, int]:
    """Download files and say how many bytes each unpacks to, by sha256."""
    wanted = list({artifact.sha256: artifact for artifact in artifacts}.values())
    total = sum(artifact.size for artifact in wanted)
    with ctx.log.progress(f"Downloading {len(wanted)} packages", total) as progress:
        files = fetch(
            ctx, catalog, wanted, evidence=evidence, downloads=default_downloads(ctx), progress=progress
        )

    def measure(file: VerifiedFile) -> tuple[str, int]:
        return file.artifact.sha256, unpacked_size(file.path)

    with ctx.log.step("Measuring packages"), ThreadPoolExecutor(max(1, ctx.settings.jobs)) as pool:
        return dict(pool.map(measure, files.values()))
