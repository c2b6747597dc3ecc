"""The `eastwest` command, one file per subcommand; files that begin with _ are shared by several."""
