"""What is wrong with a single file as an archive, whatever it holds."""
