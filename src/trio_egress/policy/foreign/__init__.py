"""Policies of other tools, read into ours: one file for each tool, and `convert` that knows them all."""

TOOLS = ("pipelock", "awf", "harden-runner", "bullfrog", "srt", "squid")
