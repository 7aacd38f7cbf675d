"""What is finished: whether it is there, before it is published and before a run goes on; measured; and packed."""
