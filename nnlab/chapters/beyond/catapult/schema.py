"""Names of the arrays of `catapult` that the widget reads."""

from collections.abc import Mapping

PRODUCTS = "products"  # (K,) ηλ₀ of each training, ascending
LOSS, SHARPNESS = "loss", "sharpness"  # (K, T + 1) of the trained network: ½f², ηλ
START = "start"  # (4,) f₀, λ₀, x, n

ARRAYS: Mapping[str, str] = {
    PRODUCTS: "(K,) ηλ₀ of each training, ascending",
    LOSS: "(K, T + 1) loss of the network, the start first",
    SHARPNESS: "(K, T + 1) ηλ of the network, the start first",
    START: "(4,) f₀, λ₀, the example x and the width n",
    "sweep": "(S,) ηλ₀ for which the map was followed",
    "predicted_ends": "(S,) ηλ at the end, by the map",
    "measured_ends": "(K,) ηλ at the end of each training",
    "predicted_peaks": "(S,) the largest loss over the first, by the map",
    "measured_peaks": "(K,) the largest loss over the first, of each training",
}
"""Describes the arrays of `catapult`: pattern of names -> axes and units."""
