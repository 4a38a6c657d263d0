"""Making a lock: every declared package's exact file, through the signed chain."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from xtool.artifacts import Artifact, VerifiedFile
from xtool.catalog import Catalog, Declaration, Lock, PackageSet, SuiteEvidence
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
    known = _known(present, keep)
    with ctx.log.step("Reading signed package indexes"):
        indexes = _read_indexes(chain, declarations.values(), host, keep)
    components = {
        declaration.name: [
            artifact
            for block in declaration.packages
            for artifact in (
                _kept(declaration, block, known)
                if block.suite in keep
                else _block(chain, declaration, block, indexes, host)
            )
        ]
        for declaration in declarations.values()
    }
    suites = sorted({block.suite for d in declarations.values() for block in d.packages})
    evidence = {suite: seen[suite] if suite in keep else chain.evidence(suite) for suite in suites}
    every = [artifact for items in components.values() for artifact in items]
    sizes = {artifact.sha256: artifact.unpacked_size for artifact in every if artifact.suite in keep}
    sizes |= measure(ctx, catalog, [a for a in every if a.suite not in keep], evidence)
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


def _read_indexes(
    chain: Chain, declarations: Iterable[Declaration], host: Host, keep: Collection[str]
) -> _Indexes:
    wanted: dict[tuple[str, str], set[str]] = {}
    for declaration in declarations:
        for block in declaration.packages:
            if block.suite not in keep:
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


_Known = Mapping[tuple[str, str, str], Artifact]
"""Artifacts by suite, architecture and name."""


def _known(present: Lock | None, keep: Collection[str]) -> _Known:
    if present is None:
        return {}
    every = (artifact for items in present.components.values() for artifact in items)
    return {(a.suite, a.arch, a.name): a for a in every if a.suite in keep}


def _kept(declaration: Declaration, block: PackageSet, known: _Known) -> Iterable[Artifact]:
    for name in block.names:
        artifact = known.get((block.suite, block.arch, name)) or known.get((block.suite, "all", name))
        if artifact is None:
            raise CatalogError(
                f"component {declaration.name}: the present lock has no package {name} for {block.arch} of "
                f"{block.suite}",
                hint=f"make the lock without `--keep {block.suite}`",
            )
        yield artifact


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
