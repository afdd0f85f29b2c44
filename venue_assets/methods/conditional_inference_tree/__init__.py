"""Conditional inference trees: groups that differ in a response, split only where a permutation test says so.

Hothorn, T., Hornik, K. & Zeileis, A. (2006). Unbiased recursive partitioning: a conditional inference framework.
Journal of Computational and Graphical Statistics 15(3), 651-674.

    covariates, response (tables to arrays) -> association (which covariate?) -> splits (where?) -> growth (the nodes)
        -> routing (rows to leaves), document (the tree as JSON), tree (the class that ties these together)
"""

from venue_assets.methods.conditional_inference_tree.nodes import Node, Split, Test
from venue_assets.methods.conditional_inference_tree.tree import ConditionalInferenceTree

__all__ = ["ConditionalInferenceTree", "Node", "Split", "Test"]
