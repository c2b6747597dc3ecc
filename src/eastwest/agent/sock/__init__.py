"""TCP health per connection: attempts, failures, resets, retransmissions, timeouts, round-trip times."""
