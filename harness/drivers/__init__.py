"""Programs of ours that train models from outside in a plain loop, observed like any other script."""
