"""From a good network to the best: distorted images, recipes, ensembles and what they reached."""
