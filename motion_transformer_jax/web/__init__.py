"""The page in the browser that the command `app` serves."""
