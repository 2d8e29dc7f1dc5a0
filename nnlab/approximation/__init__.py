"""Universal approximation: networks built by formula, and proofs of how far each is from its target.

target = make_target("sin(2*pi*x)")
network = build_bins(target, bins_for(2 * math.pi, 0.01)).network   # a torch module
certify(network, target)                                            # lower ≤ sup |network − f| ≤ upper
"""

from nnlab.approximation.bins import Histogram, bins_for, build_bins, error_bound, steepness_for
from nnlab.approximation.boxes import certify_boxes
from nnlab.approximation.certificate import Certificate, certify, histogram_lower_bound
from nnlab.approximation.line import LineNetwork
from nnlab.approximation.network import ScalarNetwork, load_network
from nnlab.approximation.superposition import random_features, train
from nnlab.approximation.surfaces import Grid, isolated_towers, quadrant_thresholds
from nnlab.approximation.targets import NAMED, Target, make_target

__all__ = [
    "NAMED",
    "Certificate",
    "Grid",
    "Histogram",
    "LineNetwork",
    "ScalarNetwork",
    "Target",
    "bins_for",
    "build_bins",
    "certify",
    "certify_boxes",
    "error_bound",
    "histogram_lower_bound",
    "isolated_towers",
    "load_network",
    "make_target",
    "quadrant_thresholds",
    "random_features",
    "steepness_for",
    "train",
]
