"""The proxy: accepts what the sandbox sends, asks the policy once per attempt, relays what is allowed."""
