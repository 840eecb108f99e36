"""The command line: flags become calls, reports become text."""
