"""Declared intent against what is permitted and what was observed: `intent` reads the sentences, `verify` compares."""
