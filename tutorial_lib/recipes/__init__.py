"""How each shipped file was made: `python -m tutorial_lib.recipes [NAME …]`."""
