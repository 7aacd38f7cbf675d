"""Collections of images (bioformats2raw.layout): whether what describes them is what is there."""
