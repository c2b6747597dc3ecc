"""The eight steps of `eastwest demo --story`: `scene` is where it plays, `steps` their order, `course` tells them."""
