"""Universal approximation: networks built by formula, and proofs of how far each is from its target.

target = make_target("sin(2*pi*x)")
network = build_bins(target, bins_for(2 * math.pi, 0.01)).network   # a torch module
certify(network, target)                                            # lower ≤ sup |network − f| ≤ upper
"""

from nnlab.approximation.bins import Histogram, bins_for, build_bins
from nnlab.approximation.boxes import certify_boxes
from nnlab.approximation.certificate import Certificate, certify
from nnlab.approximation.network import ScalarNetwork, load_network
from nnlab.approximation.superposition import random_features, train
from nnlab.approximation.targets import Target, make_target

__all__ = [
    "Certificate",
    "Histogram",
    "ScalarNetwork",
    "Target",
    "bins_for",
    "build_bins",
    "certify",
    "certify_boxes",
    "load_network",
    "make_target",
    "random_features",
    "train",
]
