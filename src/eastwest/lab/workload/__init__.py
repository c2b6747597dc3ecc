"""What containers without a command do: serve an echo on their ports and make the calls that their pod declares."""
