"""Typed questions over a Store: time ranges, the filter language, the service map, the flow table, coverage."""
