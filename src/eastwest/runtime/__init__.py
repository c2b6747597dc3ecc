"""What every process of ours needs and no domain knows: files, life cycle, log, tokens, its own metrics."""
