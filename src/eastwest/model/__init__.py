"""What a flow, an endpoint and a cluster are. Imports nothing of ours; everything else imports it."""
