"""The edge of stability: full-batch descent sharpens its minimum until ηλmax is 2, and stays there."""
