"""Least-privilege policies from what was seen: `traffic` sorts it, `rules` and `selectors` word it, `generator` decides."""
