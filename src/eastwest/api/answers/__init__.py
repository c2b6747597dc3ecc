"""What the domain answered, as the models of the API; a module per area where that takes more than its route."""
