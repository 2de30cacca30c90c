"""Programs of ours that train models from outside, in a plain loop: `... FILE`, observed like any other script."""
