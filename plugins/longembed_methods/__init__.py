"""The context-extension methods that ship with longembed-st, each registered by entry point."""
