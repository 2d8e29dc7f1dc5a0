"""Bounds that hold in spite of rounding.

rounding    bounds on single sums, products and fractions; outward rounding of arrays
intervals   `Interval`, arrays of intervals with + − * / and integer powers
functions   sin, exp, log, … of intervals
supremum    the supremum of a function over boxes, by branch and bound
activations activation functions, and the distance of their steps to the hard step
"""
