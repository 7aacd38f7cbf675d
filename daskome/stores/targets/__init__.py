"""What lies at a target, what of it may be replaced, and how what is planned begins there."""
