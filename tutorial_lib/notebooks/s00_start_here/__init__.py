"""notebooks/00_start_here.ipynb: the playground in the plane (`study`, `view`) and on digits (`digits_study`,
`digits_view`)."""
