"""Pages for people: what a run did, told from its evidence and its policy as one HTML page and as one screen of Markdown.

Where evidence and policy meet, as in `review`. Pure but for the stream that it is given: opens no file, reads no clock.
"""
