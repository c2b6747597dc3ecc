"""The `eastwest` command: a file per subcommand, or a folder where one has parts; what begins with _ is shared by several.
`story` is what `eastwest demo --story` plays."""
