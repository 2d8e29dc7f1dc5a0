"""The page's part of every chapter, in the lecture's order. Imports no experiment, and no torch."""

from nnlab.chapters.approximation.widget import PAGE as APPROXIMATION
from nnlab.chapters.backpropagation.widget import PAGE as BACKPROPAGATION
from nnlab.chapters.beyond.widget import PAGE as BEYOND
from nnlab.chapters.classification.widget import PAGE as CLASSIFICATION
from nnlab.chapters.convolution.widget import PAGE as CONVOLUTION
from nnlab.chapters.kernels.widget import PAGE as KERNELS
from nnlab.chapters.lecture.widget import PAGE as LECTURE
from nnlab.chapters.widths.widget import PAGE as WIDTHS
from nnlab.page.contents import ChapterPage

CHAPTERS: tuple[ChapterPage, ...] = (
    LECTURE,
    CLASSIFICATION,
    BACKPROPAGATION,
    CONVOLUTION,
    KERNELS,
    WIDTHS,
    APPROXIMATION,
    BEYOND,
)
