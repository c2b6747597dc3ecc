"""How much of what happened is in the data: `node` is one node's books, `accounts` all of them with their `sentences`."""
