"""RPM packages through repository and signature: a sysroot's lock, and what is added to a sysroot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from xtool.artifacts import Artifact, VerifiedFile
from xtool.catalog import Catalog
from xtool.context import Context
from xtool.errors import CatalogError, IntegrityError, UsageError
from xtool.fetch.closure import closure
from xtool.fetch.debian import default_downloads
from xtool.fetch.fetcher import fetch
from xtool.fetch.lockfile import render_sysroot
from xtool.fetch.rpmchain import Repo, RpmChain
from xtool.fetch.rpmrepo import RpmPackage, highest
from xtool.fetch.rpmsign import inspect, unpacked_size
from xtool.fetch.rpmuniverse import RpmUniverse
from xtool.fetch.session import redact
from xtool.fetch.signatures import Certificate, pinned, read_certificates
from xtool.sysroots import Distribution, RepositoryEvidence, SysrootLock

_UNKNOWN = 1
"""Stands for the unpacked size until the package has been measured."""


def resolve_sysroot(
    ctx: Context,
    catalog: Catalog,
    distribution: Distribution,
    *,
    keys: Sequence[Path] = (),
    now: datetime | None = None,
) -> str:
    """Make the text of a fresh lock for a distribution's sysroot.

    Every package is downloaded, its signature checked and its archive measured. A repository older than the
    one that the present lock was made from is refused.

    Args:
        ctx: settings, log, environment.
        catalog: the archives, the keys, and the present lock.
        distribution: what to lock.
        keys: files of certificates that may sign instead of the pinned ones.
        now: the present time, UTC.

    Raises:
        UsageError: the distribution has no repositories of RPM packages.
        CatalogError: a declared package does not exist, or a key is missing.
        IntegrityError: a signature or a hash does not hold.
        NetworkError: something cannot be fetched.
    """
    if catalog.archives[distribution.archive].kind != "rpm":
        raise UsageError(
            f"sysroot {distribution.name} is made of packages that the target's lock holds",
            hint=f"`xtool lock --update {distribution.target}` makes that one anew",
        )
    now = now or datetime.now(timezone.utc)
    present = (
        catalog.sysroot_lock(distribution) if catalog.sysroot_lock_path(distribution).is_file() else None
    )
    certificates = _certificates(catalog, distribution, keys)
    seen = present.evidence if present is not None else ()
    chain = RpmChain(ctx, catalog, distribution, certificates, seen=seen, now=now)
    with ctx.log.step(f"Reading the repositories of {distribution.title} for {distribution.arch}"):
        chosen = _choose(chain, distribution)
    artifacts = [chain.artifact(repo, package, _UNKNOWN) for package, repo in chosen.values()]
    if not certificates:
        _check_pins(artifacts, present, distribution)
    signers, sizes = _inspect(ctx, catalog, artifacts, certificates, now)
    evidence = [_evidence(repo, chosen, signers) for repo in chain.repositories()]
    return render_sysroot(
        distribution,
        _same_place(evidence, present),
        [replace(one, unpacked_size=sizes[one.sha256]) for one in artifacts],
    )


_Chosen = Mapping[str, tuple[RpmPackage, Repo]]


@dataclass(frozen=True, slots=True)
class Added:
    """Packages of a distribution beside those of its sysroot.

    Args:
        artifacts: the packages, sorted by name.
        needed_by: by package name, the package that brought it; nothing for those that were asked for.
        evidence: the repositories that they come from.
    """

    artifacts: tuple[Artifact, ...]
    needed_by: Mapping[str, str]
    evidence: tuple[RepositoryEvidence, ...]


def resolve_packages(
    ctx: Context,
    catalog: Catalog,
    distribution: Distribution,
    names: Sequence[str],
    *,
    given: Callable[[str], bool],
    now: datetime | None = None,
) -> Added:
    """Packages with all that they require, from the repositories of a distribution's sysroot.

    Args:
        ctx: settings, log, environment.
        catalog: the archives, the keys, and the sysroot's lock: an older state than that is refused.
        distribution: whose packages.
        names: what is asked for: names of packages, or what one package alone provides.
        given: whether a name is neither asked for nor followed (see `closure`).
        now: the present time, UTC.

    Raises:
        UsageError: a package does not exist, or two exclude each other.
        IntegrityError: no key is pinned, or a signature or a hash does not hold.
        NetworkError: something cannot be fetched.
    """
    now = now or datetime.now(timezone.utc)
    certificates = _certificates(catalog, distribution, ())
    if not certificates:
        raise IntegrityError(
            f"no key is pinned for {distribution.title}, so its packages cannot be checked",
            hint="`--sysroot derived` takes Debian's, whose key is known",
            code="unsigned",
        )
    known = catalog.sysroot_lock_path(distribution).is_file()
    seen = catalog.sysroot_lock(distribution).evidence if known else ()
    chain = RpmChain(ctx, catalog, distribution, certificates, seen=seen, now=now)
    where: dict[str, Repo] = {}
    packages: list[RpmPackage] = []
    with ctx.log.step(f"Reading the repositories of {distribution.title} for {distribution.arch}"):
        for repo in chain.repositories():
            found = chain.packages(repo)
            where.update((one.sha256, repo) for one in found if one.sha256 not in where)
            packages += found
        universe = RpmUniverse(packages, f"{distribution.title} ({distribution.arch})")
    chosen = closure(universe, names, given=given)
    placed = {one.offer.name: (one.offer, where[one.offer.sha256]) for one in chosen}
    artifacts = [chain.artifact(repo, package, _UNKNOWN) for package, repo in placed.values()]
    signers, sizes = _inspect(ctx, catalog, artifacts, certificates, now)
    return Added(
        artifacts=tuple(replace(one, unpacked_size=sizes[one.sha256]) for one in artifacts),
        needed_by={one.offer.name: one.needed_by for one in chosen if one.needed_by},
        evidence=tuple(_evidence(repo, placed, signers) for repo in chain.repositories()),
    )


def _certificates(catalog: Catalog, distribution: Distribution, keys: Sequence[Path]) -> list[Certificate]:
    if keys:
        return [certificate for path in keys for certificate in read_certificates(path)]
    if not distribution.keyring:
        return []
    return pinned(catalog.root / distribution.keyring, distribution.fingerprints)


def _choose(chain: RpmChain, distribution: Distribution) -> _Chosen:
    """The newest of each declared package, whichever repository has it; of equals the first one's."""
    wanted = set(distribution.packages)
    chosen: dict[str, tuple[RpmPackage, Repo]] = {}
    for repo in chain.repositories():
        packages = chain.packages(repo, wanted)
        for name in wanted:
            found = highest(packages, name, distribution.arch)
            if found is not None and (name not in chosen or found.order > chosen[name][0].order):
                chosen[name] = found, repo
    missing = sorted(wanted - chosen.keys())
    if missing:
        raise CatalogError(
            f"the repositories of {distribution.title} have no {', '.join(missing)} for {distribution.arch}",
            facts=[one.path for one in distribution.repositories],
            hint="mend sysroots.toml",
        )
    return dict(sorted(chosen.items()))


def _check_pins(
    artifacts: Iterable[Artifact], present: SysrootLock | None, distribution: Distribution
) -> None:
    """Without a key only what a hash already pins is believed."""
    known = {one.sha256 for one in present.artifacts} if present is not None else set()
    strangers = [one.filename for one in artifacts if one.sha256 not in known]
    if strangers:
        raise IntegrityError(
            f"no key is pinned for {distribution.title}, and the lock has not these packages",
            facts=strangers,
            hint="`--key FILE` names the keys that sign them",
            code="unsigned",
        )


def _download(ctx: Context, catalog: Catalog, artifacts: Sequence[Artifact]) -> Mapping[str, VerifiedFile]:
    total = sum(artifact.size for artifact in artifacts)
    with ctx.log.progress(f"Downloading {len(artifacts)} packages", total) as progress:
        return fetch(
            ctx, catalog, artifacts, evidence={}, downloads=default_downloads(ctx), progress=progress
        )


def _inspect(
    ctx: Context,
    catalog: Catalog,
    artifacts: Sequence[Artifact],
    certificates: Sequence[Certificate],
    now: datetime,
) -> tuple[dict[str, str], dict[str, int]]:
    """Download packages; who signed each, and how much it unpacks to, by sha256."""
    files = _download(ctx, catalog, artifacts)

    def look(artifact: Artifact) -> tuple[str, str, int]:
        path = files[artifact.sha256].path
        rpm, fingerprint = inspect(path, artifact.filename, certificates, now=now)
        version = artifact.version.rpartition(":")[2]
        says = (rpm.name, f"{rpm.version}-{rpm.release}", rpm.arch)
        if says != (artifact.name, version, artifact.arch):
            raise IntegrityError(
                f"{artifact.filename} is another package than the repository says",
                facts=[f"it says that it is {rpm.nevra}"],
                hint="the mirror serves one package under the name of another; try another mirror",
                code="wrong-package",
            )
        return artifact.sha256, fingerprint, unpacked_size(path, rpm)

    with ctx.log.step("Checking packages"), ThreadPoolExecutor(max(1, ctx.settings.jobs)) as pool:
        found = list(pool.map(look, artifacts))
    return {key: signer for key, signer, _ in found}, {key: size for key, _, size in found}


def _evidence(repo: Repo, chosen: _Chosen, signers: Mapping[str, str]) -> RepositoryEvidence:
    its = {signers[package.sha256] for package, other in chosen.values() if other.path == repo.path}
    return RepositoryEvidence(
        repository=repo.path,
        url=redact(repo.mirror.base),
        date=repo.repomd.date,
        fingerprint=repo.fingerprint,
        packages_fingerprint=",".join(sorted(its - {""})),
    )


def _same_place(
    evidence: Sequence[RepositoryEvidence], present: SysrootLock | None
) -> list[RepositoryEvidence]:
    """Keep the URL of the present lock for a state that is the same: another mirror of it is no news."""
    old = {one.repository: one for one in present.evidence} if present is not None else {}
    return [
        old[one.repository]
        if one.repository in old and replace(old[one.repository], url=one.url) == one
        else one
        for one in evidence
    ]
