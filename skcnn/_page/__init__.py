"""What HTML pages of several packages are made with: their frame, colours and letters, and one way to write a file."""
