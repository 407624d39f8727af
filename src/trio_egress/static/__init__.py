"""The static twin of a run's scanning: the same detectors over files, changes and archives, before anything runs.

`walk`, `change`, `diff` and `archives` give sources; `look` finds hits in them; `allow` and `baseline` take away what
was accepted; `text`, `sarif`, `annotations` and `document` tell the rest. Nothing here knows of sandbox or proxy.
"""
