"""Published address ranges shipped with the package, each file with its date and source in its first lines."""
