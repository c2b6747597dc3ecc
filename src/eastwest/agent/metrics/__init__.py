"""What an agent publishes: `families` lists it, `agent` takes in each window, `exporter` serves it to scrapers."""
