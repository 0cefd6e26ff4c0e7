"""What makes convolution faster and is not needed to understand it."""
