"""What makes the modules at the top safe: checks, files, checkpoints, formats, download."""
