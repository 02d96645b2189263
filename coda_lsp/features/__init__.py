"""What the server does for the editor: one file a feature."""
