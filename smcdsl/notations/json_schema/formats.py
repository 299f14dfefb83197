"""Formats as patterns.

Each is the pattern of exactly the texts of the format where that is a regular language (dates know how long
their months are and when a year is a leap year), else of its usual texts: host names and addresses are ASCII,
and an `email` has a dotted or quoted local part. `docs/notations.md` says which are narrower.
"""

from __future__ import annotations

_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DATE = (
    r"(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    rf"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_SECONDS = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
_OFFSET = r"(?:[zZ]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_TIME = rf"{_SECONDS}{_OFFSET}"
_NUMBER = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_NUMBER}(?:\.{_NUMBER}){{3}}"
_H = r"[0-9A-Fa-f]{1,4}"
_TAIL = rf"(?:{_H}:{_H}|{_IPV4})"
_IPV6 = "|".join(
    [
        rf"(?:{_H}:){{6}}{_TAIL}",
        rf"::(?:{_H}:){{5}}{_TAIL}",
        rf"(?:{_H})?::(?:{_H}:){{4}}{_TAIL}",
        rf"(?:(?:{_H}:){{0,1}}{_H})?::(?:{_H}:){{3}}{_TAIL}",
        rf"(?:(?:{_H}:){{0,2}}{_H})?::(?:{_H}:){{2}}{_TAIL}",
        rf"(?:(?:{_H}:){{0,3}}{_H})?::{_H}:{_TAIL}",
        rf"(?:(?:{_H}:){{0,4}}{_H})?::{_TAIL}",
        rf"(?:(?:{_H}:){{0,5}}{_H})?::{_H}",
        rf"(?:(?:{_H}:){{0,6}}{_H})?::",
    ]
)
# Six labels of 41 characters are 251: a name of this form never exceeds the 253 that are allowed.
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,39}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,39}[A-Za-z0-9])?){0,5}"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = rf'(?:{_ATEXT}(?:\.{_ATEXT})*|"(?:[ !#-\[\]-~]|\\[ -~])*")'
_EMAIL = rf"{_LOCAL}@{_DOMAIN}"
_PERCENT = r"%[0-9A-Fa-f]{2}"
_PCHAR = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{_PERCENT})"
_SEGMENTS = rf"(?:/{_PCHAR}*)*"
_USER = rf"(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|{_PERCENT})*@)?"
_URI_HOST = rf"(?:\[(?:{_IPV6})\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|{_PERCENT})*)"
_AUTHORITY = rf"//{_USER}{_URI_HOST}(?::[0-9]*)?"
_ABSOLUTE_PATH = rf"/(?:{_PCHAR}+{_SEGMENTS})?"
_ROOTLESS = rf"{_PCHAR}+{_SEGMENTS}"
_NO_SCHEME = rf"(?:[A-Za-z0-9._~!$&'()*+,;=@-]|{_PERCENT})+{_SEGMENTS}"
_ENDING = rf"(?:\?(?:{_PCHAR}|[/?])*)?(?:#(?:{_PCHAR}|[/?])*)?"
_URI = rf"[A-Za-z][A-Za-z0-9+.-]*:(?:{_AUTHORITY}{_SEGMENTS}|{_ABSOLUTE_PATH}|{_ROOTLESS}|){_ENDING}"
_RELATIVE = rf"(?:{_AUTHORITY}{_SEGMENTS}|{_ABSOLUTE_PATH}|{_NO_SCHEME}|){_ENDING}"
_POINTER = r"(?:/(?:[^~/]|~[01])*)*"
_DURATION_TIME = r"T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
_DURATION_DATE = r"(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"

FORMATS: dict[str, str] = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}[tT]{_TIME}$",
    "duration": f"^P(?:{_DURATION_DATE}(?:{_DURATION_TIME})?|{_DURATION_TIME}|[0-9]+W)$",
    "uuid": "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$",
    "ipv4": f"^{_IPV4}$",
    "ipv6": f"^(?:{_IPV6})$",
    "hostname": f"^{_HOST}$",
    "email": f"^{_EMAIL}$",
    "uri": f"^{_URI}$",
    "uri-reference": f"^(?:{_URI}|{_RELATIVE})$",
    "json-pointer": f"^{_POINTER}$",
    "relative-json-pointer": f"^(?:0|[1-9][0-9]*)(?:#|{_POINTER})$",
}
"""Pattern by name."""

NARROWED = frozenset({"date-time", "email", "hostname", "time"})
"""Formats of which not all texts are in the pattern: seconds numbered 60, long names, quoted oddities."""

HINTS = frozenset({"password", "float", "double", "binary"})
"""Names from other standards that say how a value is shown or stored, not what it is."""

INTEGER_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
