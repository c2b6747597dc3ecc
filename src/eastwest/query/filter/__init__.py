"""The filter language: words are column names, the answer is a predicate or an error that points at a character.

src_namespace=ui and dst_port in (80, 8080) and bytes_forward>1MB and not dst_ip=10.0.0.0/8
"""

from eastwest.query.filter.complete import suggest
from eastwest.query.filter.parser import parse

__all__ = ["parse", "suggest"]
