"""Profile-guided optimisation in a cross build.

Stage 1 builds the wheel with counters, the training runs it for the target, and stage 2 builds it again with
what was counted. `notes` is what GCC and libgcov write, `flow` what the counters say of a function,
`names` and `identity` make a profile independent of where it was made, `profile` and `archive` keep it,
`build` runs the two stages and `training` what lies between them, `compiles`, `collect` and `usage` read what
came of it, and `report`, `words` and `page` tell it.
"""
