"""What is known of jobs and tracks, folded from the topics."""
