"""DNS as pods see it: names asked, by whom, answers and latency; and which name an address was looked up by."""
