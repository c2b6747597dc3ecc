"""The server's HTTP side: authentication, routes, and the shapes of what they answer."""
