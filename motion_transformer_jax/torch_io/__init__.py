"""PyTorch state dicts to and from parameter trees."""
