"""What a run did, for people: from its evidence and its policy, as one HTML page and as one screen of Markdown.

Where evidence and policy meet, as in `review`. Opens no file and reads no clock: it is given streams and values.
"""
