"""Pieces of other files that help to fill a hole: from open files, from recent edits, from what is imported."""
