"""Names SQLite knows without any schema: functions, types in CAST, collations."""

# Scalar, aggregate and window functions of a plain SQLite; those that show or touch the machine are left out.
FUNCTIONS = """
    abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling char coalesce cos cosh count
    cume_dist date datetime degrees dense_rank exp first_value floor format group_concat hex ifnull iif instr
    json json_array json_array_length json_extract json_group_array json_group_object json_insert json_object json_patch
    json_quote json_remove json_replace json_set json_type json_valid julianday lag last_value lead length
    likelihood likely ln log log10 log2 lower ltrim max min mod nth_value ntile nullif percent_rank pi pow
    power printf quote radians random rank replace round row_number rtrim sign sin sinh soundex sqrt strftime substr
    substring sum tan tanh time total trim trunc typeof unicode unixepoch unlikely upper
""".split()

TYPES = """
    bigint binary blob bool boolean char character clob date datetime decimal double float int integer
    mediumint nchar number numeric nvarchar precision real signed smallint string text time timestamp tinyint
    unsigned varchar varying
""".split()

COLLATIONS = ("binary", "nocase", "rtrim")
