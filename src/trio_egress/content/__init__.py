"""What stands in the bytes that pass: secrets on their way out, instructions on their way in. Bytes in, values out."""
