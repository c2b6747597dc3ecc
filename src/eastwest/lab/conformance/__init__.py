"""Conformance cases on real packets: what the engine says, what the case expects, and what arrives, cell by cell."""
