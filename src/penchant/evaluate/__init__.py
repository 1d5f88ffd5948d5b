"""Measures over tables and lists, ours or anybody's: a time split, metrics of lists and clusters, peers, one table."""

from penchant.evaluate.peers import fit_peers
from penchant.evaluate.split import Split, split_by_time
from penchant.evaluate.table import brief, compare, to_text

__all__ = ["Split", "brief", "compare", "fit_peers", "split_by_time", "to_text"]
