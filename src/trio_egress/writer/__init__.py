"""What signs and writes: `desk` is its work, `thread` and `process` are where that is done."""
