"""Ranges and intervals as text."""


def between(low: str, high: str, link: str = " to ") -> str:
    """Both ends, or one number where they look the same.

    Example:
        >>> between("12", "15", "–"), between("12", "12", "–")
        ('12–15', '12')
    """
    return low if low == high else f"{low}{link}{high}"
