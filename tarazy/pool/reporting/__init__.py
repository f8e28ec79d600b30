"""The office's part in reports: building what is due by the schedule, and delivering what is approved."""
