"""Reading, cleaning, weighing and writing: files and tables in, a checked Log out."""

from penchant.io.describe import describe_log
from penchant.io.feedback import Feedback, read_feedback
from penchant.io.read import read_log
from penchant.io.users import read_ids
from penchant.io.write import check_target, make_folder, write_parts, write_table

__all__ = [
    "Feedback",
    "check_target",
    "describe_log",
    "make_folder",
    "read_feedback",
    "read_ids",
    "read_log",
    "write_parts",
    "write_table",
]
