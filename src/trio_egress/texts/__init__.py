"""Texts that people write: where each thing in them stands, and what is wrong there."""
