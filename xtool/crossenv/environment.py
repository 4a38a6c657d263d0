"""Everything a build is told: wrappers, sysconfig data, tool files and variables in one folder."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from xtool.catalog import Catalog
from xtool.context import Context
from xtool.crossenv import asked, compilercache, files, pyconfig, variables
from xtool.crossenv.profiling import Profiling
from xtool.crossenv.trace import ASKED, BuildTrace, read_trace
from xtool.crossenv.wrappers import HOST_PATHS, Policy, WrapperSpec, prefix_maps, write_wrappers
from xtool.errors import UsageError
from xtool.kit import Kit, TargetPython
from xtool.sysrootrules import read_rules
from xtool.targets import format_glibc, same_machine

RELEASE_FLAGS = ("-O3", "-Wall", "-DNDEBUG", "-fwrapv", "-fPIC")
"""CPython's own release flags without `-g`, which is what the interpreters of manylinux images pass on."""

STRIP_FLAG = "-Wl,--strip-all"
"""A wheel needs no symbol table; what is statically linked into it (libstdc++) brings a large one."""


@dataclass(frozen=True, slots=True)
class CrossEnv:
    """The cross environment of one kit and one Python version.

    Args:
        kit: the kit.
        version: Python version, `3.13`.
        folder: where its files lie.
        bindir: folder of the wrappers, first on PATH.
        environ: the whole environment of a back end's process.
        roots: by what they are, the folders that a compiler may open files in.
        trace: folder of the notes of what was opened, or None.
        cmake_toolchain: a CMake toolchain file.
        meson_cross_file: a meson cross file.
        build_details: `build-details.json` of the target's Python (PEP 739).
    """

    kit: Kit
    version: str
    folder: Path
    bindir: Path
    environ: Mapping[str, str]
    roots: Mapping[str, tuple[Path, ...]]
    trace: Path | None
    cmake_toolchain: Path
    meson_cross_file: Path
    build_details: Path

    @classmethod
    def create(
        cls,
        ctx: Context,
        kit: Kit,
        version: str,
        folder: Path,
        *,
        sources: Mapping[str, tuple[Path, ...]],
        path: tuple[Path, ...] = (),
        jobs: int = 1,
        profiling: Profiling | None = None,
    ) -> CrossEnv:
        """Write the cross environment of a build.

        Args:
            ctx: settings, log, environment.
            kit: the kit.
            version: Python version, `3.13`.
            folder: a new folder for its files; also where temporary files of the build go.
            sources: by what they are (`source`, `environment`), further folders that a compiler may open.
            path: folders of commands that come after the wrappers and before the user's PATH.
            jobs: how many compilers may run at once.
            profiling: the stage of a profile-guided build, or None.

        Raises:
            UsageError: the kit has no such Python, or the user's flags for targets cannot be read.
        """
        own = target_python(kit, version)
        python = pyconfig.fit(ctx, kit, own, folder)
        trace = folder / "trace"
        temporary = folder / "tmp"
        for made in (trace, temporary):
            made.mkdir(parents=True, exist_ok=True)
        roots = _kit_roots(kit, own, python) | {
            "temporary": (temporary,),
            "user": _user_roots(ctx.environ, kit),
            "cross": (folder / "sysconfig",),
            **sources,
        }
        allowed = _spellings(item for group in roots.values() for item in group)
        # A cache's key would have to hold what a profile says.
        cache = None if profiling else compilercache.find(ctx)
        if cache is not None:
            ctx.log.detail(f"compilers go through {cache.program}")
            compilercache.start(ctx, cache)
        base = variables.build_environment(ctx.environ)
        spec = replace(
            _wrapper_spec(kit, Policy(allowed)),
            prefix_maps=prefix_maps(roots),
            trace=trace,
            cache=cache,
            timestamp=variables.timestamp(base),
            profiling=profiling,
            temporary=temporary,
            # A shell of the user's goes on having its own `gcc`.
            plain_names=same_machine(kit.host, kit.target),
        )
        env = cls._write(ctx, kit, python, folder, spec, roots)
        environ = {
            **base,
            **variables.parallel_environment(jobs),
            **env.environ,
            **_facts(kit, python, sources.get("source", ()), trace),
            "TMPDIR": str(temporary),
            "PYTHONPYCACHEPREFIX": str(folder / "pycache"),
            "PATH": os.pathsep.join([str(env.bindir), *map(str, path), ctx.environ.get("PATH", os.defpath)]),
        }
        native = shutil.which("cc", path=ctx.environ.get("PATH")) or shutil.which(
            "gcc", path=ctx.environ.get("PATH")
        )
        if native is not None:
            environ |= {"CC_FOR_BUILD": native, "BUILD_CC": native}
        return replace(env, environ=environ)

    @classmethod
    def create_for_user(cls, ctx: Context, kit: Kit, version: str, folder: Path) -> CrossEnv:
        """Write a cross environment that outlives this process, for builds that the user runs.

        It takes no notes, its compilers refuse only folders that hosts keep their own files in, and `environ`
        holds just what it adds.
        """
        own = target_python(kit, version)
        python = pyconfig.fit(ctx, kit, own, folder)
        roots = _kit_roots(kit, own, python)
        allowed = _spellings(item for group in roots.values() for item in group)
        return cls._write(ctx, kit, python, folder, _wrapper_spec(kit, Policy(allowed, HOST_PATHS)), roots)

    def read_trace(self) -> BuildTrace:
        """What the compilers and linkers of the build opened so far."""
        return BuildTrace() if self.trace is None else read_trace(self.trace, self.roots)

    @classmethod
    def _write(
        cls,
        ctx: Context,
        kit: Kit,
        python: TargetPython,
        folder: Path,
        spec: WrapperSpec,
        roots: Mapping[str, tuple[Path, ...]],
    ) -> CrossEnv:
        from xtool.python.sysconfigdata import write_build_details, write_cross_sysconfig

        bindir = folder / "bin"
        write_wrappers(spec, bindir)
        rules = read_rules(Catalog(ctx.settings.toolchains_dir).root)
        asked.write_programs(kit, rules, bindir)
        runner = asked.write_runner(kit, python, bindir)
        site = folder / "config.site"
        site.write_text(asked.config_site(kit, rules), encoding="utf-8")
        tools = tool_variables(kit)
        sysconfig = write_cross_sysconfig(folder / "sysconfig", kit.target, python, tools)
        details = folder / "build-details.json"
        write_build_details(details, kit.target, python)
        cmake, meson = folder / "toolchain.cmake", folder / "cross.meson"
        answers = {
            "_PYTHON_SYSCONFIGDATA_NAME": sysconfig.name,
            "_PYTHON_SYSCONFIGDATA_PATH": str(sysconfig.folder),
            "_PYTHON_HOST_PLATFORM": sysconfig.platform,
            "PYTHONPATH": str(sysconfig.folder),
        }
        cmake.write_text(files.cmake_toolchain(kit, python, bindir, answers), encoding="utf-8")
        meson.write_text(files.meson_cross_file(kit, python, bindir), encoding="utf-8")
        pkgconfig = os.pathsep.join(str(path) for path in asked.pkgconfig_folders(kit))
        environ = {
            **tools,
            **_flags(ctx.environ, kit),
            **answers,
            "PKG_CONFIG": f"{kit.target.triplet}-{asked.PKG_CONFIG}",
            "PKG_CONFIG_LIBDIR": pkgconfig,
            "PKG_CONFIG_SYSROOT_DIR": str(kit.sysroot.path),
            "CONFIG_SITE": str(site),
            "LOG_COMPILER": runner,
            "CMAKE_TOOLCHAIN_FILE": str(cmake),
            "XTOOL_TARGET": kit.target.name,
            "XTOOL_CROSS_SYSROOT": str(kit.sysroot.path),
            "XTOOL_CROSS_MACHINE": kit.target.name,
            "XTOOL_CROSS_MULTIARCH": kit.target.multiarch,
            "XTOOL_CROSS_EXT_SUFFIX": python.ext_suffix,
            "XTOOL_CROSS_GLIBC": format_glibc(kit.sysroot.glibc),
            "XTOOL_CROSS_SYSCONFIG": str(sysconfig.folder),
            "XTOOL_CROSS_INCLUDE": str(python.includes[0]),
            "XTOOL_CROSS_PLATINCLUDE": str(python.includes[-1]),
        }
        return cls(
            kit=kit,
            version=python.version,
            folder=folder,
            bindir=bindir,
            environ=environ,
            roots=roots,
            trace=spec.trace,
            cmake_toolchain=cmake,
            meson_cross_file=meson,
            build_details=details,
        )


def target_python(kit: Kit, version: str) -> TargetPython:
    """The kit's Python of a version.

    Raises:
        UsageError: the kit has no such Python.
    """
    try:
        return kit.pythons[version]
    except KeyError:
        raise UsageError(
            f"Python {version} is not set up for {kit.target.name}",
            facts=[f"set up: {', '.join(sorted(kit.pythons)) or 'none'}"],
            hint=f"run `xtool setup {kit.target.name} --python {version}`",
        ) from None


def tool_variables(kit: Kit) -> dict[str, str]:
    """The variables that name tools.

    Names, not paths: the wrappers' folder is first on PATH, a path may hold spaces, and some projects write
    what CC says into what they build.
    """
    prefix = f"{kit.target.triplet}-"
    names = {
        "CC": "gcc",
        "CXX": "g++",
        "LD": "ld",
        "AR": "ar",
        "NM": "nm",
        "RANLIB": "ranlib",
        "STRIP": "strip",
        "OBJCOPY": "objcopy",
        "OBJDUMP": "objdump",
        "READELF": "readelf",
    }
    if "fortran" in kit.toolchain.languages:
        names |= {"FC": "gfortran", "F77": "gfortran", "F90": "gfortran"}
    tools = {variable: prefix + name for variable, name in names.items()}
    tools["CPP"] = f"{prefix}gcc -E"
    tools["LDSHARED"] = f"{prefix}gcc -shared"
    tools["LDCXXSHARED"] = f"{prefix}g++ -shared"
    tools["CROSS_COMPILE"] = prefix
    return tools


def _flags(environ: Mapping[str, str], kit: Kit) -> dict[str, str]:
    """CFLAGS and their kin: a release build's, then the user's for targets."""

    def user(name: str) -> str:
        return variables.target_flags(environ, name, kit.target.name)

    flags = {name: _join(*RELEASE_FLAGS, user(name)) for name in ("CFLAGS", "CXXFLAGS")}
    if "fortran" in kit.toolchain.languages:
        flags["FFLAGS"] = flags["FCFLAGS"] = _join("-O3", "-fPIC", user("FFLAGS"))
    debug = any(word.startswith("-g") and word != "-g0" for word in flags["CFLAGS"].split())
    flags["LDFLAGS"] = _join("" if debug else STRIP_FLAG, user("LDFLAGS"))
    if user("CPPFLAGS"):
        flags["CPPFLAGS"] = user("CPPFLAGS")
    return flags


def _facts(kit: Kit, python: TargetPython, source: tuple[Path, ...], trace: Path) -> dict[str, str]:
    """What `xtool.crossenv.facts_shim` answers with, whom, and where it writes down what was asked."""
    return {
        "XTOOL_CROSS_BITS": str(kit.target.elf.bits),
        "XTOOL_CROSS_BYTEORDER": "little" if kit.target.elf.little_endian else "big",
        "XTOOL_CROSS_DOUBLE_ALIGNMENT": str(kit.target.double_alignment),
        "XTOOL_CROSS_LONG_DOUBLE": str(python.sysconfig["SIZEOF_LONG_DOUBLE"]),
        "XTOOL_CROSS_SOURCE": os.pathsep.join(map(str, source)),
        "XTOOL_CROSS_ASKED": str(trace / ASKED),
    }


def _join(*words: str) -> str:
    return " ".join(word for word in words if word)


def _wrapper_spec(kit: Kit, policy: Policy) -> WrapperSpec:
    return WrapperSpec(
        toolchain=kit.toolchain,
        sysroot=kit.sysroot.path,
        cflags=kit.target.cflags,
        ldflags=kit.target.ldflags,
        prefix_maps=(),
        policy=policy,
        trace=None,
    )


def _kit_roots(kit: Kit, own: TargetPython, fitted: TargetPython) -> dict[str, tuple[Path, ...]]:
    return {
        "toolchain": (kit.toolchain.path,),
        "sysroot": (kit.sysroot.path,),
        "python": tuple(dict.fromkeys((*own.includes, *fitted.includes))),
    }


def _spellings(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Folders as they were named and with links resolved: GCC finds its own files by the resolved name."""
    return tuple(dict.fromkeys(spelling for folder in folders for spelling in (folder, folder.resolve())))


def _user_roots(environ: Mapping[str, str], kit: Kit) -> tuple[Path, ...]:
    """Folders that the user's flags for targets name: files for the target that only the user knows of."""
    found: list[Path] = []
    for name in ("CFLAGS", "CXXFLAGS", "CPPFLAGS", "FFLAGS", "LDFLAGS"):
        try:
            words = shlex.split(variables.target_flags(environ, name, kit.target.name))
        except ValueError as error:
            raise UsageError(f"cannot read XTOOL_{name}: {error}", hint="mend its quotes") from error
        for word, following in zip(words, [*words, ""][1:], strict=True):
            for option in ("-I", "-L", "-isystem", "-idirafter", "-iquote", "-B"):
                if word == option:
                    found.append(Path(following))
                elif word.startswith(option):
                    found.append(Path(word.removeprefix(option)))
    return tuple(path for path in dict.fromkeys(found) if path.is_absolute())
