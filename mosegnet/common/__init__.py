"""What both halves need to speak with a person and with a disk: errors, atomic files, the console."""
