"""`xtool verify`: is every installed file as it was made."""

from __future__ import annotations

from typing import Any

from xtool.cli.base import Result, Session, verb

_SHOWN = 20


def _verify(session: Session) -> Result:
    from xtool.errors import ProblemsFound
    from xtool.store import Store

    store = Store(session.ctx)
    components: list[dict[str, Any]] = []
    for entry in store.entries():
        problems = store.verify(entry)
        title = entry.manifest.title if entry.manifest else entry.folder
        components.append({"title": title, "folder": entry.folder, "path": entry.path, "problems": problems})
        session.console.info(f"{title}: {'whole' if not problems else f'{len(problems)} problems'}")
    if not components:
        session.console.info("nothing is installed; `xtool setup TARGET` does it")
    bad = [component for component in components if component["problems"]]
    if not bad:
        return Result({"components": components})
    facts = [f"{component['folder']}/{line}" for component in bad for line in component["problems"]]
    if len(facts) > _SHOWN:
        facts[_SHOWN:] = [f"... and {len(facts) - _SHOWN} more; `--output json` has all"]
    count = f"{len(bad)} of {len(components)} components"
    error = ProblemsFound(
        f"{count} {'is' if len(bad) == 1 else 'are'} not as made",
        facts=facts,
        hint="`xtool doctor --fix` makes them anew",
        code="modified",
    )
    return Result({"components": components}, errors=(error,))


command = verb(
    _verify,
    name="verify",
    help="Compare every installed file with its recorded hash; exits with 6 when one differs.",
    example="xtool verify",
)
