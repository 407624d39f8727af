"""One run: the nursery that ties the sandbox, the listeners, the recorder and the agent together."""
