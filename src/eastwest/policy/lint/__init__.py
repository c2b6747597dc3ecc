"""Policies that are valid and yet do not do what their author must have meant: `checks` runs them all, a file a subject."""
