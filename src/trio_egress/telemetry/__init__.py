"""What a run tells outside while it lives: copies of its receipts, and figures. Loaded only where it is asked for."""
