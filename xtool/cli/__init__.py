"""The command line: one thin module per verb."""


def main() -> None:
    """Run the command line."""
    raise SystemExit("not wired up yet")
