"""The development console and the app process that it supervises. Production imports nothing of this."""
