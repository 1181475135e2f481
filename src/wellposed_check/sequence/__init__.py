"""Claims of the room `sequence`: state-space models and the systems that they were to be."""
