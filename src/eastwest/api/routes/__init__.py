"""One file per question; each turns parameters into a typed question and its answer into a model."""
