"""Rows: from files to arrays that fit a model, and how they are split."""
