"""The commands, a module each: flags become a call of the verb of that name, whose answer is shown.

Nothing but click is imported before a command is called: ``onnxq --help`` must be there at once.
The options are called what the verb's keywords are called; the type checker sees it, and a test.
"""
