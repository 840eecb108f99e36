"""Rewrites of a graph, one a file: a pattern, its replacement, its condition, why."""
