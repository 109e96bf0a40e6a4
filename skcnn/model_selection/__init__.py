"""x"""
from skcnn.model_selection._duplicates import find_duplicates
