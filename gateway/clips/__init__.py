"""Generated songs: channels, the jobs that they ask for, and how those are told to people."""
