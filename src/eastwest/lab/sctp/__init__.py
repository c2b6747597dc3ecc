"""SCTP over raw IP, for kernels without SCTP sockets: as much of RFC 9260 as an echo and a probe need."""
