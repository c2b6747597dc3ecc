"""Recorded flows against policies: `replay` says what would be denied, `use` which permissions nothing needed."""
