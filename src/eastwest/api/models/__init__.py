"""The shapes of the HTTP API, a module per question: what the CLI prints with --json and what the console's types are
generated from.

Unknown is null, never 0 or ''. Times are int64 nanoseconds since the Unix epoch unless a name says otherwise.
"""
