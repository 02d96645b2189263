"""The language server: a keystroke becomes a masked span, the engine fills it, the editor shows it."""

__version__ = "0.1.0"
