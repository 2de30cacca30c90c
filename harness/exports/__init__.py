"""What is recorded, in the form of other tools: a file a tool."""
