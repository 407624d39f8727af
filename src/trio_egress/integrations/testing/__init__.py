"""The pytest plugin: tests in a sandbox, or what they start. Only `plugin` is loaded where nothing asks for more."""
