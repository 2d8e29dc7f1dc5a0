"""Section 4 as ideas, one for each screen of the slides, with exercises."""

from nnlab.chapters.convolution.worked import CONVOLUTION, FILTER, POOL, STRETCH, VOLUME
from nnlab.page.contents import Exercise, Idea

IDEAS = (
    Idea(
        "image-as-a-vector",
        "4.1",
        "A fully connected layer stretches an image into a vector, and forgets where pixels were.",
        STRETCH,
        "W₁P (Pᵀx) = W₁x  for every permutation P",
        ("pixel_shuffle:permuted_columns_*", "pixel_shuffle:training_from_*"),
        "32 × 32 × 3 = 3,072 numbers. With the columns of W₁ permuted like the pixels the network is the "
        "same, and it learns the same: it never knew which pixels were neighbours.",
    ),
    Idea(
        "shuffled-pixels",
        "4.1",
        "Shuffled pixels cost a convolutional network accuracy, a fully connected one nothing.",
        "pixel_shuffle:shuffled_pixels",
        claims=("pixel_shuffle:network_keeps_*", "pixel_shuffle:cnn_loses_*"),
        text="All images are shuffled in the same way, in training and in the test. What a convolutional "
        "network knows beforehand, that neighbours belong together, is then false.",
    ),
    Idea(
        "convolution-of-functions",
        "4.2",
        "A convolution turns one function round, moves it over the other, and takes the overlap.",
        CONVOLUTION,
        "(f∗g)(y) = ∫ f(x) g(y − x) dx",
        ("slides:continuous_convolution",),
        "Each place y of the result is the area under a product. With cells of width h the integral becomes "
        "a sum times h, and the error goes to 0 like h.",
    ),
    Idea(
        "filter-slides",
        "4.2",
        "A filter slides over the image and takes dot products: one activation map.",
        FILTER,
        "(f∗g)(x, y) = Σ Σ f(n₁, n₂) g(x − n₁, y − n₂)",
        (
            "slides:convolution_is_its_double_sum",
            "slides:a_layer_is_one_matrix",
            "slides:convolution_commutes_*",
        ),
        "The same few weights everywhere: if the image moves, the map moves with it. Networks leave out the "
        "turning round, since their filters are learned. As a matrix, a layer has few and repeated numbers.",
    ),
    Idea(
        "filters-stack",
        "4.2",
        "A filter goes through all channels; six filters make six maps.",
        VOLUME,
        "size = ⌊(32 + 2·padding − 5)/stride⌋ + 1 = 28",
        ("slides:sizes_of_maps", "cnn:number_of_parameters"),
        "32 × 32 × 3 becomes 28 × 28 × 1, and 28 × 28 × 6 with six filters, by 6 · (75 + 1) = 456 numbers. A "
        "fully connected layer between the same sizes has 14 million.",
    ),
    Idea(
        "cnn-answers",
        "4.3",
        "A convolutional network is convolutions with activations between.",
        "cnn:digit",
        "s = W · pool φ(w₂ ∗ pool φ(w₁ ∗ x + b₁) + b₂) + b",
        ("cnn:maps_are_*", "cnn:scores_are_*"),
        "Softmax regression compares the drawing with one template a class, at one place. The maps show "
        "where each filter finds what it looks for. Draw a digit that one gets right and the other wrong.",
    ),
    Idea(
        "learned-filter",
        "4.3",
        "Nobody wrote the filters down: they are learned, like all weights.",
        "cnn:filter",
        text="A filter of the first layer on a test image. Blue weights ask for bright pixels, orange ones "
        "for dark; most filters of the first layer become edges and blobs.",
    ),
    Idea(
        "layers-see-more",
        "4.3",
        "From layer to layer maps shrink, and what one unit sees grows.",
        "cnn:maps",
        "r = 1 + Σ_b 2^{b−1} k",
        ("cnn:receptive_field", "cnn:maps_move_*"),
        "Edges first, then parts that are made of edges. After B poolings the maps move by one where the "
        "image moves by 2^B pixels.",
    ),
    Idea(
        "learned-representation",
        "4.3",
        "Two directions of the last hidden layer already part most images by class.",
        "cnn:representation",
        text="The last hidden layer of 359 test images, along its two directions of largest variance. The "
        "linear layer after it has all of its directions, and an easier task.",
    ),
    Idea(
        "max-pooling",
        "4.4",
        "Pooling keeps the largest of every 2 × 2 numbers, in each map by itself.",
        POOL,
        "p(c, x, y) = max z(c, 2x + i, 2y + j)  over i, j ∈ {0, 1}",
        ("cnn:pooling_acts_*",),
        "A quarter of the numbers is left. Where exactly in the window the largest stood is forgotten, so "
        "that small shifts change little. The gradient goes back to that number alone.",
    ),
    Idea(
        "pooling-of-a-map",
        "4.4",
        "On a trained map, pooling keeps where a filter answered, at half the size.",
        "cnn:pooling",
        text="The map of the first layer that varies most, before and after pooling, with some of its "
        "numbers.",
    ),
)

EXERCISES = (
    Exercise(
        "4.1",
        "Rows and columns are counted from 1. At which places of the 3,072 numbers are the three values of "
        "the pixel in row 10, column 20? How far is its right neighbour, and the one below?",
        "9 · 32 + 20 = 308 in red, 308 + 1,024 = 1,332 in green, 2,356 in blue. The right neighbour is 1 "
        "place on, the one below 32.",
    ),
    Exercise(
        "4.1",
        "All images are shuffled with the same permutation. Why is the test accuracy of a fully connected "
        "network, on average over starts, exactly the same?",
        "W₁P with shuffled pixels computes what W₁ does with plain ones, and for a random start W₁P is as "
        "likely as W₁. Measured differences: {pixel_shuffle:network_keeps_its_accuracy} for the fully "
        "connected network, {pixel_shuffle:cnn_loses_accuracy} for the convolutional one.",
    ),
    Exercise(
        "4.1",
        "And if each image were shuffled in a way of its own?",
        "Then only the set of its values is left: no classifier can see more than their histogram.",
    ),
    Exercise(
        "4.2",
        "32 × 32 × 3, ten filters of 5 × 5, stride 1, two zeros around. How large is the output, and how "
        "many parameters has the layer?",
        "(32 + 4 − 5)/1 + 1 = 32, so 32 × 32 × 10; 10 · (5 · 5 · 3 + 1) = 760 parameters. Check it in the "
        "figure of the stack. The formula is wrong for {slides:sizes_of_maps} layers of 37.",
    ),
    Exercise(
        "4.2",
        "Which map does the filter −1, 0, 1 (three rows of it) give on an image that is dark on the left "
        "and bright on the right? On an image of one brightness?",
        "0 except in the two columns at the edge, where it is three times the difference; 0 everywhere, "
        "since its weights add up to 0.",
    ),
    Exercise(
        "4.2",
        "What is the convolution of a box of width 1 with itself? And with more and more boxes?",
        "A triangle of width 2; then smooth bumps, and by the central limit theorem a Gaussian. Choose "
        "boxes in the figure.",
    ),
    Exercise(
        "4.3",
        "Two blocks of 3 × 3 filters, each followed by 2 × 2 pooling: how large a square of the image does "
        "a unit of the last maps see, and how many parameters has the lecture's network with 16 and 32 "
        "filters and 10 classes on 8 × 8 images?",
        "r = 1 + 1 · 3 + 2 · 3 = {cnn:receptive_field}. (9 + 1) · 16 + (9 · 16 + 1) · 32 + (128 + 1) · 10 = "
        "{cnn:number_of_parameters}.",
    ),
    Exercise(
        "4.3",
        "Without the activations between, what would two convolutions in a row be?",
        "One convolution, with a filter of side 5 for two of side 3: linear after linear is linear.",
    ),
    Exercise(
        "4.4",
        "A 224 × 224 × 64 stack of maps is pooled by 2 × 2 with stride 2. What comes out, and how many "
        "parameters does it take?",
        "112 × 112 × 64: each map by itself. No parameters at all.",
    ),
    Exercise(
        "4.4",
        "In which of the four numbers of a window is the gradient of their maximum 0, and in which is that "
        "of their mean?",
        "Of the maximum in the three smaller ones; of the mean in none: it is 1/4 in each.",
    ),
)
