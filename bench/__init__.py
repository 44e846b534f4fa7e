"""Side-by-side speed figures: each the ratio of two programs measured in one run (`make bench`)."""
