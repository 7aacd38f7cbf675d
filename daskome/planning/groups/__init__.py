"""What a group of a plan holds; and where an image is there already, which parts of it change, and in which passes."""
