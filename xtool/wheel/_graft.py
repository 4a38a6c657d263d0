"""Run auditwheel's repair on a foreign wheel; a program of its own, started by `xtool.wheel.repair`.

Reads one JSON document from stdin. auditwheel's command line offers only the host's platforms, its API any.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path


def main() -> int:
    """Graft what the request names; exit code 1 and a line on stderr when it cannot be done."""
    from auditwheel.architecture import Architecture
    from auditwheel.libc import Libc
    from auditwheel.patcher import ElfPatcher
    from auditwheel.repair import repair_wheel
    from auditwheel.wheel_abi import analyze_wheel_abi

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    request = json.load(sys.stdin)
    tag = request["policy"]
    try:
        abi = analyze_wheel_abi(
            Libc.GLIBC,
            Architecture(request["machine"]),
            Path(request["wheel"]),
            frozenset(),
            disable_isa_ext_check=False,
            allow_graft=True,
            requested_policy_base_name=tag.removesuffix(f"_{request['machine']}"),
            args_ldpaths=":".join(request["library_dirs"]),
        )
        made = repair_wheel(
            abi,
            Path(request["wheel"]),
            abis=[tag, *request["aliases"]],
            lib_sdir=".libs",
            out_dir=Path(request["outdir"]),
            update_tags=False,
            patcher=ElfPatcher.get_patcher("patchelf", tag),
            strip=False,
            zip_compression_level=1,
        )
    except (ValueError, OSError, RuntimeError, LookupError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0 if made else 1


if __name__ == "__main__":
    sys.exit(main())
