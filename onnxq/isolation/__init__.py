"""Stages run in child processes, so that no foreign file is parsed in the parent."""
