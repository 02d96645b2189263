"""The engine as the language server sees it: a child process or a team server, spoken to over HTTP."""
