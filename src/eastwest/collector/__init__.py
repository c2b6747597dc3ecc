"""Receives batches from agents, names both ends of every record, keeps them, and only then says so."""
