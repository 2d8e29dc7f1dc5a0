"""Double descent: the risk of minimum-norm regression, over the number of features."""
