"""Building wheels: sources, build environments, the PEP 517 front end, the smoke test, the pipeline."""
