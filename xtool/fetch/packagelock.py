"""Which exact packages a sysroot gets beside the C library: resolved once, written down, read from then on.

The record is a file for people to review and keep (`--sysroot-lock`), or one in the cache. It may hold an
entry for each target and suite; an entry answers a request when it was made for the same names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtool.artifacts import Artifact
from xtool.catalog import Catalog, SuiteEvidence
from xtool.errors import CatalogError, StoreError, UsageError
from xtool.records import MEND, check_fields, digest_of, load, read_artifact, texts, well_formed

if TYPE_CHECKING:
    from xtool.context import Context
    from xtool.sysrootrules import Rules

SCHEMA = 1
_HEADER = """\
# Made by xtool: the packages that `--sysroot-package` adds to sysroots, with all that they need, through
# the signatures of their archive. unpacked_size is the size of each package's decompressed files.
"""
_EVIDENCE = ("date", "fingerprint", "snapshot")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request for packages.

    Args:
        target: target name.
        archive: archive of `sources.toml`.
        suite: the suite whose glibc the sysroot stands for; for RPM the distribution (`centos7`).
        arch: the architecture as the archive spells it.
        names: package names, sorted, each once.
    """

    target: str
    archive: str
    suite: str
    arch: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pins:
    """What a request came to.

    Args:
        wanted: the request.
        evidence: the signed index that it was resolved with.
        artifacts: the packages, sorted by name.
        needed_by: by package name, the package that brought it; empty for those that were asked for.
    """

    wanted: Wanted
    evidence: SuiteEvidence
    artifacts: tuple[Artifact, ...]
    needed_by: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Hex sha256 over the exact packages."""
        return digest_of(sorted(artifact.sha256 for artifact in self.artifacts))


def read_pins(path: Path, wanted: Wanted) -> Pins | None:
    """The entry of a file that answers a request; None where there is no file or no such entry.

    Raises:
        CatalogError: the file is malformed.
    """
    return next((pins for pins in read_all(path) if pins.wanted == wanted), None)


def write_pins(path: Path, pins: Pins) -> None:
    """Write an entry in the place of the one for the same target and suite, and leave the others.

    Raises:
        CatalogError: the file is malformed.
        StoreError: it cannot be written.
    """
    key = (pins.wanted.target, pins.wanted.suite)
    kept = [one for one in read_all(path) if (one.wanted.target, one.wanted.suite) != key]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(render([*kept, pins]), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}",
            hint="name a file with `--sysroot-lock`, or a folder with XTOOL_CACHE_DIR, that you can write",
        ) from error


def render(entries: Sequence[Pins]) -> str:
    """The text of a file: entries sorted by target and suite, packages by name."""
    from xtool.fetch.lockfile import toml_text

    lines = [_HEADER, f"schema = {SCHEMA}"]
    for pins in sorted(entries, key=lambda one: (one.wanted.target, one.wanted.suite)):
        lines += ["", "[[sysroot]]"]
        fields = asdict(pins.wanted) | {key: getattr(pins.evidence, key) for key in _EVIDENCE}
        for name, value in fields.items():
            listed = f"[{', '.join(map(toml_text, value))}]" if isinstance(value, tuple) else ""
            lines.append(f"{name} = {listed or toml_text(str(value))}")
        for artifact in pins.artifacts:
            lines += ["", "[[sysroot.package]]"]
            if pins.needed_by.get(artifact.name):
                lines.append(f"needed_by = {toml_text(pins.needed_by[artifact.name])}")
            for name, value in asdict(artifact).items():
                lines.append(f"{name} = {toml_text(value) if isinstance(value, str) else value}")
    return "\n".join(lines) + "\n"


def resolve(ctx: Context, catalog: Catalog, wanted: Wanted, rules: Rules, seen: SuiteEvidence | None) -> Pins:
    """Resolve a request with the suite's present index, download and measure every package.

    Args:
        ctx: settings, log, environment.
        catalog: the archives, and the keys that may sign.
        wanted: the request.
        rules: what is never followed.
        seen: the newest state of the suite that is known; an older one is refused.

    Raises:
        UsageError: a package does not exist, or two exclude each other.
        IntegrityError: a signature or a hash does not hold.
        NetworkError: something cannot be fetched.
    """
    if catalog.archives[wanted.archive].kind == "rpm":
        return _resolve_rpm(ctx, catalog, wanted, rules)
    from xtool.fetch.closure import closure
    from xtool.fetch.debian import Chain, artifact_of
    from xtool.fetch.locks import measure
    from xtool.fetch.relations import DebianUniverse

    chain = Chain(ctx, catalog, seen={wanted.suite: seen} if seen else {})
    with ctx.log.step(f"Reading the signed package index of {wanted.suite}"):
        universe = DebianUniverse(chain.index(wanted.suite, wanted.arch), wanted.suite, wanted.arch)
    try:
        chosen = closure(universe, wanted.names, given=rules.is_given)
    except UsageError as error:
        raise _with_other_name(error, wanted, rules, set(universe.names())) from None
    evidence = chain.evidence(wanted.suite)
    found = [artifact_of(one.offer, wanted.archive, wanted.suite, 1) for one in chosen]
    sizes = measure(ctx, catalog, found, {wanted.suite: evidence})
    return Pins(
        wanted=wanted,
        evidence=evidence,
        artifacts=tuple(replace(artifact, unpacked_size=sizes[artifact.sha256]) for artifact in found),
        needed_by={one.offer.name: one.needed_by for one in chosen if one.needed_by},
    )


def _resolve_rpm(ctx: Context, catalog: Catalog, wanted: Wanted, rules: Rules) -> Pins:
    """The same with the repositories of an RPM distribution."""
    from xtool.fetch.sysrootlocks import resolve_packages

    distribution = catalog.sysroots.distributions[wanted.suite][wanted.target]
    try:
        added = resolve_packages(ctx, catalog, distribution, wanted.names, given=rules.is_given)
    except UsageError as error:
        others = {other for name in wanted.names if (other := rules.other_name(name))}
        raise _with_other_name(error, wanted, rules, others) from None
    signers = {name for one in added.evidence for name in one.packages_fingerprint.split(",") if name}
    date = max((one.date for one in added.evidence), default="")
    return Pins(
        wanted=wanted,
        evidence=SuiteEvidence(wanted.suite, date, ",".join(sorted(signers)), ""),
        artifacts=added.artifacts,
        needed_by=added.needed_by,
    )


def _with_other_name(error: UsageError, wanted: Wanted, rules: Rules, names: set[str]) -> UsageError:
    """The error with a better hint where the name is another family of distributions' (`openssl-devel`)."""
    for name in wanted.names:
        other = rules.other_name(name)
        if error.code == "unknown-sysroot-package" and f"`{name}`" in error.message and other in names:
            hint = f"did you mean `{other}`? it is the name that this distribution has for it"
            return UsageError(error.message, facts=error.facts, hint=hint, code=error.code)
    return error


def read_all(path: Path) -> list[Pins]:
    """Every entry of a file; none where there is no file.

    Raises:
        CatalogError: the file is malformed.
    """
    if not path.is_file():
        return []
    try:
        document = load(path)
        check_fields(document, path, required={"schema"}, optional={"sysroot"})
        with well_formed(path):
            return [_read_entry(entry, path) for entry in document.get("sysroot", [])]
    except CatalogError as error:
        # It is the project's or the cache's, not one of `toolchains/`.
        hint = error.hint if error.hint != MEND else "mend it, or remove it to have it made anew"
        raise CatalogError(error.message, facts=error.facts, hint=hint) from error


def _read_entry(entry: Any, path: Path) -> Pins:
    fields = {"target", "archive", "suite", "arch", *_EVIDENCE}
    check_fields(entry, path, required={"names", *fields}, optional={"package"}, where="sysroot")
    for field in fields:
        if not isinstance(entry[field], str):
            raise CatalogError(f"{path}: sysroot: {field} is not text", hint=MEND)
    needed_by = {}
    artifacts = []
    for package in entry.get("package", []):
        plain = {key: value for key, value in package.items() if key != "needed_by"}
        artifacts.append(read_artifact(plain, path))
        if "needed_by" in package:
            needed_by[artifacts[-1].name] = str(package["needed_by"])
    return Pins(
        wanted=Wanted(
            target=entry["target"],
            archive=entry["archive"],
            suite=entry["suite"],
            arch=entry["arch"],
            names=texts(entry, "names", path, "sysroot"),
        ),
        evidence=SuiteEvidence(entry["suite"], *(entry[key] for key in _EVIDENCE)),
        artifacts=tuple(artifacts),
        needed_by=needed_by,
    )
