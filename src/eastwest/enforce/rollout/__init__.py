"""Staged rollouts: namespaces and nodes from off to audit to enforce, step by step, each step held, gated, taken back.

`machine` is the whole logic, pure: what was, and what is seen, to what is next. `gates` judge what is seen. `observe`
looks (through query and the inventory), `driver` puts modes into the settings and keeps the state on disk.
"""
