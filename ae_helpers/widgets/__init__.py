"""What moves: the latent map, its page for the browser, and the board to draw a digit on."""
