"""From texts to vectors: tokens, passes, batches, and what is made of them."""
