"""What the notebooks compute and draw, one folder a notebook: study.py computes, view.py draws."""
