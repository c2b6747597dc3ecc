"""Semantic test cases: `case` is what one says, `cluster` what it is about, `run` asks the engine."""
