"""Augmentations of batches of image tensors, with parameters for each sample; `data.views` composes them."""
