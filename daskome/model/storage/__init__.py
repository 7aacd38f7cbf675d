"""How levels are stored: what a caller asks for, checked and completed to chunks, shards, codecs and fill value."""
