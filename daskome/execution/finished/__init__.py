"""Whether what is finished is there: before it is published, and before a run goes on."""
