"""What an evaluation found, as files, pages and studies."""
