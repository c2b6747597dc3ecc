"""From policies and settings to a plan per node, what is in force of it, and the staged way there."""
