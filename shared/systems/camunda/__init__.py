"""Camunda 7 and its forks: set the retries of jobs, list those that failed, and see whether they ran."""
