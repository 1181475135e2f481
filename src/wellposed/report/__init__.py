"""Reports that a person reads, and the folder that a run leaves behind."""
