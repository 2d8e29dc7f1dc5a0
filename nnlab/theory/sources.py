"""The literature behind the claims: a table from the names of claims to references, and these as BibTeX."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

ELEMENTARY = "elementary: it follows from the definitions in a few lines"
LECTURE = "measured here, as the lecture says it; no theorem says so"

_BIBTEX = """
@inproceedings{yang2021,
  author = {Yang, Greg and Hu, Edward J.},
  title = {Tensor Programs {IV}: Feature Learning in Infinite-Width Neural Networks},
  booktitle = {International Conference on Machine Learning},
  year = {2021},
}
@misc{yang2022,
  author = {Yang, Greg and Hu, Edward J. and Babuschkin, Igor and Sidor, Szymon and Liu, Xiaodong
            and Farhi, David and Ryder, Nick and Pachocki, Jakub and Chen, Weizhu and Gao, Jianfeng},
  title = {Tensor Programs {V}: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer},
  howpublished = {arXiv:2203.03466}, year = {2022},
}
@article{cybenko1989,
  author = {Cybenko, George},
  title = {Approximation by superpositions of a sigmoidal function},
  journal = {Mathematics of Control, Signals and Systems},
  volume = {2}, number = {4}, pages = {303--314}, year = {1989},
}
@article{hornik1991,
  author = {Hornik, Kurt},
  title = {Approximation capabilities of multilayer feedforward networks},
  journal = {Neural Networks},
  volume = {4}, number = {2}, pages = {251--257}, year = {1991},
}
@article{barron1993,
  author = {Barron, Andrew R.},
  title = {Universal approximation bounds for superpositions of a sigmoidal function},
  journal = {IEEE Transactions on Information Theory},
  volume = {39}, number = {3}, pages = {930--945}, year = {1993},
}
@book{moore2009,
  author = {Moore, Ramon E. and Kearfott, R. Baker and Cloud, Michael J.},
  title = {Introduction to Interval Analysis},
  publisher = {SIAM}, year = {2009},
}
@book{higham2002,
  author = {Higham, Nicholas J.},
  title = {Accuracy and Stability of Numerical Algorithms},
  edition = {Second}, publisher = {SIAM}, year = {2002},
}
@book{deboor2001,
  author = {de Boor, Carl},
  title = {A Practical Guide to Splines},
  edition = {Revised}, publisher = {Springer}, year = {2001},
}
@inproceedings{novikoff1962,
  author = {Novikoff, Albert B. J.},
  title = {On convergence proofs on perceptrons},
  booktitle = {Proceedings of the Symposium on the Mathematical Theory of Automata},
  volume = {12}, pages = {615--622}, year = {1962},
}
@book{minsky1969,
  author = {Minsky, Marvin and Papert, Seymour},
  title = {Perceptrons: An Introduction to Computational Geometry},
  publisher = {MIT Press}, year = {1969},
}
@article{gordan1873,
  author = {Gordan, Paul},
  title = {Ueber die Aufl{\\"o}sung linearer Gleichungen mit reellen Coefficienten},
  journal = {Mathematische Annalen},
  volume = {6}, year = {1873},
}
@article{rumelhart1986,
  author = {Rumelhart, David E. and Hinton, Geoffrey E. and Williams, Ronald J.},
  title = {Learning representations by back-propagating errors},
  journal = {Nature},
  volume = {323}, pages = {533--536}, year = {1986},
}
@article{kullback1951,
  author = {Kullback, Solomon and Leibler, Richard A.},
  title = {On information and sufficiency},
  journal = {The Annals of Mathematical Statistics},
  volume = {22}, number = {1}, pages = {79--86}, year = {1951},
}
@article{hoerl1970,
  author = {Hoerl, Arthur E. and Kennard, Robert W.},
  title = {Ridge regression: Biased estimation for nonorthogonal problems},
  journal = {Technometrics},
  volume = {12}, number = {1}, pages = {55--67}, year = {1970},
}
@article{tibshirani1996,
  author = {Tibshirani, Robert},
  title = {Regression shrinkage and selection via the lasso},
  journal = {Journal of the Royal Statistical Society: Series B},
  volume = {58}, number = {1}, pages = {267--288}, year = {1996},
}
@article{zou2005,
  author = {Zou, Hui and Hastie, Trevor},
  title = {Regularization and variable selection via the elastic net},
  journal = {Journal of the Royal Statistical Society: Series B},
  volume = {67}, number = {2}, pages = {301--320}, year = {2005},
}
@book{cochran1977,
  author = {Cochran, William G.},
  title = {Sampling Techniques},
  edition = {Third}, publisher = {Wiley}, year = {1977},
}
@book{polyak1987,
  author = {Polyak, Boris T.},
  title = {Introduction to Optimization},
  publisher = {Optimization Software}, year = {1987},
}
@book{nesterov2004,
  author = {Nesterov, Yurii},
  title = {Introductory Lectures on Convex Optimization: A Basic Course},
  publisher = {Springer}, year = {2004},
}
@article{pedregosa2011,
  author = {Pedregosa, Fabian and others},
  title = {Scikit-learn: Machine learning in {Python}},
  journal = {Journal of Machine Learning Research},
  volume = {12}, pages = {2825--2830}, year = {2011},
}
@article{soudry2018,
  author = {Soudry, Daniel and Hoffer, Elad and Nacson, Mor Shpigel and Gunasekar, Suriya and Srebro, Nathan},
  title = {The implicit bias of gradient descent on separable data},
  journal = {Journal of Machine Learning Research},
  volume = {19}, number = {70}, pages = {1--57}, year = {2018},
}
@book{roberts2022,
  author = {Roberts, Daniel A. and Yaida, Sho and Hanin, Boris},
  title = {The principles of deep learning theory},
  publisher = {Cambridge University Press}, year = {2022},
}
@inproceedings{hanin2020,
  author = {Hanin, Boris and Nica, Mihai},
  title = {Finite depth and width corrections to the neural tangent kernel},
  booktitle = {International Conference on Learning Representations},
  year = {2020},
}
@misc{guillen2025,
  author = {Guillen, Max and Misof, Philipp and Gerken, Jan E.},
  title = {Finite-width neural tangent kernels from {Feynman} diagrams},
  howpublished = {arXiv:2508.11522}, year = {2025},
}
@article{bohning1992,
  author = {B{\\"o}hning, Dankmar},
  title = {Multinomial logistic regression algorithm},
  journal = {Annals of the Institute of Statistical Mathematics},
  volume = {44}, number = {1}, pages = {197--200}, year = {1992},
}
@inproceedings{goodfellow2013,
  author = {Goodfellow, Ian J. and Warde-Farley, David and Mirza, Mehdi and Courville, Aaron
    and Bengio, Yoshua},
  title = {Maxout networks},
  booktitle = {International Conference on Machine Learning},
  pages = {1319--1327}, year = {2013},
}
@inproceedings{jacot2018,
  author = {Jacot, Arthur and Gabriel, Franck and Hongler, Cl{\\'e}ment},
  title = {Neural tangent kernel: Convergence and generalization in neural networks},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {31}, year = {2018},
}
@inproceedings{lee2019,
  author = {Lee, Jaehoon and Xiao, Lechao and Schoenholz, Samuel S. and Bahri, Yasaman and Novak, Roman
    and Sohl-Dickstein, Jascha and Pennington, Jeffrey},
  title = {Wide neural networks of any depth evolve as linear models under gradient descent},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {32}, pages = {8572--8583}, year = {2019},
}
@inproceedings{chizat2019,
  author = {Chizat, L{\\'e}na{\\"i}c and Oyallon, Edouard and Bach, Francis},
  title = {On lazy training in differentiable programming},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {32}, year = {2019},
}
@inproceedings{du2019,
  author = {Du, Simon S. and Zhai, Xiyu and P{\\'o}czos, Barnab{\\'a}s and Singh, Aarti},
  title = {Gradient descent provably optimizes over-parameterized neural networks},
  booktitle = {International Conference on Learning Representations},
  year = {2019},
}
@inproceedings{arora2019exact,
  author = {Arora, Sanjeev and Du, Simon S. and Hu, Wei and Li, Zhiyuan and Salakhutdinov, Ruslan
    and Wang, Ruosong},
  title = {On exact computation with an infinitely wide neural net},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {32}, year = {2019},
}
@inproceedings{arora2019fine,
  author = {Arora, Sanjeev and Du, Simon S. and Hu, Wei and Li, Zhiyuan and Wang, Ruosong},
  title = {Fine-grained analysis of optimization and generalization for overparameterized two-layer neural
    networks},
  booktitle = {International Conference on Machine Learning},
  pages = {322--332}, year = {2019},
}
@inproceedings{basri2019,
  author = {Basri, Ronen and Jacobs, David and Kasten, Yoni and Kritchman, Shira},
  title = {The convergence rate of neural networks for learned functions of different frequencies},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {32}, year = {2019},
}
@inproceedings{bietti2019,
  author = {Bietti, Alberto and Mairal, Julien},
  title = {On the inductive bias of neural tangent kernels},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {32}, year = {2019},
}
@misc{lewkowycz2020,
  author = {Lewkowycz, Aitor and Bahri, Yasaman and Dyer, Ethan and Sohl-Dickstein, Jascha and Gur-Ari, Guy},
  title = {The large learning rate phase of deep learning: the catapult mechanism},
  howpublished = {arXiv:2003.02218}, year = {2020},
}
@inproceedings{barrett2021,
  author = {Barrett, David G. T. and Dherin, Benoit},
  title = {Implicit Gradient Regularization},
  booktitle = {International Conference on Learning Representations},
  year = {2021},
}
@inproceedings{cohen2021,
  author = {Cohen, Jeremy M. and Kaur, Simran and Li, Yuanzhi and Kolter, J. Zico and Talwalkar, Ameet},
  title = {Gradient descent on neural networks typically occurs at the edge of stability},
  booktitle = {International Conference on Learning Representations},
  year = {2021},
}
@article{belkin2020,
  author = {Belkin, Mikhail and Hsu, Daniel and Xu, Ji},
  title = {Two models of double descent for weak features},
  journal = {SIAM Journal on Mathematics of Data Science},
  volume = {2}, number = {4}, pages = {1167--1180}, year = {2020},
}
@article{hastie2022,
  author = {Hastie, Trevor and Montanari, Andrea and Rosset, Saharon and Tibshirani, Ryan J.},
  title = {Surprises in high-dimensional ridgeless least squares interpolation},
  journal = {The Annals of Statistics},
  volume = {50}, number = {2}, pages = {949--986}, year = {2022},
}
@inproceedings{dyer2020,
  author = {Dyer, Ethan and Gur-Ari, Guy},
  title = {Asymptotics of wide networks from {Feynman} diagrams},
  booktitle = {International Conference on Learning Representations},
  year = {2020},
}
@inproceedings{huang2020,
  author = {Huang, Jiaoyang and Yau, Horng-Tzer},
  title = {Dynamics of deep neural networks and neural tangent hierarchy},
  booktitle = {International Conference on Machine Learning},
  pages = {4542--4551}, year = {2020},
}
@inproceedings{zhang2017,
  author = {Zhang, Chiyuan and Bengio, Samy and Hardt, Moritz and Recht, Benjamin and Vinyals, Oriol},
  title = {Understanding deep learning requires rethinking generalization},
  booktitle = {International Conference on Learning Representations},
  year = {2017},
}
@inproceedings{lee2018,
  author = {Lee, Jaehoon and Bahri, Yasaman and Novak, Roman and Schoenholz, Samuel S. and Pennington, Jeffrey
    and Sohl-Dickstein, Jascha},
  title = {Deep neural networks as {Gaussian} processes},
  booktitle = {International Conference on Learning Representations},
  year = {2018},
}
@inproceedings{matthews2018,
  author = {Matthews, Alexander G. de G. and Hron, Jiri and Rowland, Mark and Turner, Richard E.
    and Ghahramani, Zoubin},
  title = {Gaussian process behaviour in wide deep neural networks},
  booktitle = {International Conference on Learning Representations},
  year = {2018},
}
"""

REFERENCES: Mapping[str, str] = {
    match[1]: match[0].strip() for match in re.finditer(r"@\w+\{(\w+),\n.*?\n\}\n", _BIBTEX, re.DOTALL)
}
"""BibTeX entries by their keys."""

_TABLE: Mapping[str, tuple[str, ...] | str] = {
    # the perceptron and XOR
    "perceptron_*": ("novikoff1962",),
    "no_line_separates_xor": ("minsky1969", "gordan1873"),
    "linear_fails_xor": ("minsky1969",),
    "linear_loss_on_xor_is_log_2": ELEMENTARY,
    "two_hidden_units_solve_xor": ("rumelhart1986",),
    "one_monotone_unit_never_solves_xor": ("minsky1969",),
    "one_unit_that_is_not_monotone_can": ELEMENTARY,
    "xor_by_training_*": ELEMENTARY,
    # universal approximation
    "step_of_*": ELEMENTARY,
    "one_relu_is_no_step": ELEMENTARY,
    "ramp_of_two_relus": ELEMENTARY,
    "height_of_a_bin": ELEMENTARY,
    "error_within_the_bound": ELEMENTARY,
    "error_of_a_line": ELEMENTARY,
    "bins_needed_*": ELEMENTARY,
    "enough_bins": ELEMENTARY,
    "one_bin_more": ELEMENTARY,
    "no_histogram_with_fewer_bins": ELEMENTARY,
    "finite_steepness_is_sharp": ELEMENTARY,
    "bound_for_finite_steepness": ELEMENTARY,
    "default_steepness": ELEMENTARY,
    "histogram_constant": ELEMENTARY,
    "interpolation_*": ("deboor2001",),
    "certificates_*": ("moore2009",),
    "lipschitz_constants_of_known_slopes": ("moore2009",),
    "enclosures_hold_*": ("moore2009",),
    "evaluation_of_hard_steps": ("higham2002",),
    "half_the_height_at_the_end": ELEMENTARY,
    "towers_with_outer_edges_outside": ELEMENTARY,
    "sigmoid_output_*": ELEMENTARY,
    "isolated_towers_*": ELEMENTARY,
    "quadrant_thresholds_*": ELEMENTARY,
    "*_of_a_plane": ELEMENTARY,
    "sums_of_*_come_nearer": ("cybenko1989", "hornik1991"),
    "sums_of_*_in_the_plane": ("cybenko1989", "hornik1991"),
    "barron_*": ("barron1993",),
    "output_weights_are_least_squares": ELEMENTARY,
    "training_finds_the_term": ELEMENTARY,
    # classification and its training
    "cross_entropy_is_entropy_plus_*": ("kullback1951",),
    "loss_of_probability_*": ELEMENTARY,
    "descent": ("nesterov2004",),
    "steps_are_their_formula": ELEMENTARY,
    "loss_is_the_mean_over_examples": ELEMENTARY,
    "errors_are_their_formulas": ELEMENTARY,
    "rate_at_*": ("polyak1987",),
    "leaves_at_*": ("polyak1987",),
    "factor_at_*": ("polyak1987",),
    "two_classes_at_*": ("bohning1992",),
    "optimum_agrees_with_scikit_learn": ("pedregosa2011",),
    "loss_falls_like_1_over_t": ("soudry2018",),
    "weights_grow_like_log_t": ("soudry2018",),
    "a_small_loss_needs_large_weights": ELEMENTARY,
    "one_example_attains_the_least_norm": ELEMENTARY,
    "gradient_noise_batch_*": ("cochran1977",),
    "noise_of_one_example": ("cochran1977",),
    "epoch_of_batches_of_*": ELEMENTARY,
    "batches_of_*_are_right_on_average": ("cochran1977",),
    "gradient_of_l2": ("hoerl1970",),
    "gradient_of_l1": ("tibshirani1996",),
    "gradient_of_elastic_net": ("zou2005",),
    "optimality_l2": ("hoerl1970",),
    "optimality_l1": ("tibshirani1996",),
    "optimality_elastic_net": ("zou2005",),
    "minimizer_l2": ("hoerl1970",),
    "minimizer_l1": ("tibshirani1996",),
    "minimizer_elastic_net": ("zou2005",),
    "stronger_is_smaller_*": ELEMENTARY,
    "sum_is_n_times_mean": ELEMENTARY,
    "sigmoid_slope_is_at_most_a_quarter": ELEMENTARY,
    "sigmoid_is_steepest_at_0": ELEMENTARY,
    "sigmoids_in_a_row_*": ELEMENTARY,
    "derivative_of_*": ELEMENTARY,
    "maxout_approximates_a_convex_function": ("goodfellow2013",),
    # layers, backpropagation and convolution
    "backpropagation_of_*": ("rumelhart1986",),
    "two_layers_are_their_formula": ELEMENTARY,
    "three_layers_are_their_formula": ELEMENTARY,
    "a_constant_feature_absorbs_the_bias": ELEMENTARY,
    "a_layer_is_one_matrix": ELEMENTARY,
    "convolution_*": ELEMENTARY,
    "backpropagation_is_the_chain_rule": ("rumelhart1986",),
    "continuous_convolution": ELEMENTARY,
    "maps_are_dot_products_with_the_filters": ELEMENTARY,
    "scores_are_convolutions_with_activations_between": ELEMENTARY,
    "pooling_acts_on_each_map_by_itself": ELEMENTARY,
    "number_of_parameters": ELEMENTARY,
    "receptive_field": ELEMENTARY,
    "maps_move_with_the_image": ELEMENTARY,
    "training_from_permuted_columns_is_the_same": ELEMENTARY,
    "sizes_of_maps": ELEMENTARY,
    "permuted_columns_are_the_same_network": ELEMENTARY,
    "network_keeps_its_accuracy": LECTURE,
    "cnn_loses_*": LECTURE,
    # wide networks
    "whole_*": ("chizat2019", "lee2019"),
    "first_layer_*": ("chizat2019", "lee2019"),
    "second_layer_*": ("chizat2019", "lee2019"),
    "prefactor_*": ("jacot2018", "lee2019"),
    "residual_error_*": ("lee2019",),
    "jacobian_drift_*": ("lee2019",),
    "kernel_drift_*": ("dyer2020", "du2019", "huang2020", "lee2019"),
    "lambda_max_*": ("jacot2018",),
    "climbs_above_2_*": ("polyak1987",),
    "crossing_*": ("polyak1987",),
    "kernel_is_gram_matrix": ("jacot2018",),
    "kernel_is_positive_definite": ("jacot2018", "du2019"),
    "a_repeated_point_makes_it_singular": ELEMENTARY,
    "infinite_kernel_of_*": ("jacot2018", "arora2019exact"),
    "spread_of_one_layer_*": ("roberts2022",),
    "spread_*": ("roberts2022", "guillen2025", "hanin2020"),
    "power_of_the_spread_*": ("roberts2022", "hanin2020"),
    "shift_of_the_mean_*": ("roberts2022", "guillen2025"),
    "linearization_follows_descent": ("lee2019",),
    "linearized_training_is_linear_regression": ("lee2019",),
    "function_at_new_points_follows_the_kernel": ("lee2019",),
    "least_squares_is_kernel_regression": ("lee2019",),
    "flow_decays_mode_by_mode": ("jacot2018", "arora2019fine"),
    "training_loss_goes_to_zero": ("du2019",),
    "gap_of_descent_and_flow": ("barrett2021",),
    "descent_is_flow_to_first_order": ELEMENTARY,
    "descent_is_the_modified_flow_to_second_order": ("barrett2021",),
    "linearization_at_*": ("polyak1987",),
    "network_climbs_at_*": ("lewkowycz2020",),
    "network_settles_flatter_at_*": ("lewkowycz2020",),
    "ensemble_*": ("lee2019",),
    "no_odd_modes_without_bias": ("basri2019", "bietti2019"),
    "tail_of_the_circle_with_bias": ("basri2019", "bietti2019"),
    "without_bias_the_rank_is_*": ELEMENTARY,
    "features_move_in_*": ("yang2021",),
    "best_step_of_*": ("yang2022",),
    # beyond the lecture: margins, step sizes, numbers of features
    "weights_grow_along_the_largest_margin": ("soudry2018",),
    "weights_grow_by_1_over_the_margin": ("soudry2018",),
    "angle_to_the_largest_margin": ("soudry2018",),
    "angle_falls_like_1_over_log_t": ("soudry2018",),
    "loss_times_steps": ("soudry2018",),
    "descent_is_the_map_of_two_numbers": ("lewkowycz2020",),
    "catapult_ends_at_*": ("lewkowycz2020",),
    "loss_rises_above_2": ("lewkowycz2020",),
    "training_diverges_above_4": ("lewkowycz2020",),
    "sharpness_settles_at_2_from_*": ("cohen2021",),
    "small_steps_sharpen_beyond": ("cohen2021",),
    "risk_with_*_features": ("belkin2020", "hastie2022"),
    "training_error_with_*_features": ELEMENTARY,
    "descent_finds_the_least_norm": ELEMENTARY,
    "peak_of_*_features": ("belkin2020", "hastie2022"),
    # beyond the lecture: the way of the weights, ensembles, harmonics
    "distance_of_the_linearization": ELEMENTARY,
    "descent_ends_nearest_to_its_start": ("zhang2017",),
    "distance_of_the_network": ("lee2019",),
    "variance_start": ("lee2018", "matthews2018"),
    "covariance_start": ("lee2018", "matthews2018"),
    "variance_all_layers": ("lee2019",),
    "covariance_all_layers": ("lee2019",),
    "mean_all_layers": ("lee2019",),
    "variance_last_layer": ("lee2018", "lee2019"),
    "covariance_last_layer": ("lee2018", "lee2019"),
    "mean_last_layer": ("lee2018", "lee2019"),
    "half_life_of_harmonic_*": ("basri2019", "bietti2019"),
    "odd_harmonics_stay_without_bias": ("basri2019",),
}


@dataclass(frozen=True)
class Source:
    """The source of a claim: references by their keys, or a sentence where the literature has none.

    Attributes:
        keys: of REFERENCES.
        note: the sentence; empty where there are references.
    """

    keys: tuple[str, ...]
    note: str = ""


def source_of(claim: str) -> Source:
    """Returns the source of a claim by its name."""
    for pattern, entry in _TABLE.items():
        if fnmatchcase(claim, pattern):
            return Source((), entry) if isinstance(entry, str) else Source(entry)
    return Source((), "no source is noted")
