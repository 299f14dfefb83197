"""Words of PostgreSQL, MySQL and standard SQL: reserved ones, functions, types in CAST, collations.

Functions that show or touch the machine, or wait, are left out, as are those that the grammars spell as keywords.
"""

from __future__ import annotations

POSTGRES_RESERVED = frozenset(
    """all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate
    collation column concurrently constraint create cross current_catalog current_date current_role
    current_schema current_time current_timestamp current_user default deferrable desc distinct do else end
    except false fetch for foreign freeze from full grant group having ilike in initially inner intersect into
    is isnull join lateral leading left like limit localtime localtimestamp natural not notnull null offset on
    only or order outer overlaps placing primary references returning right select session_user similar some
    symmetric table tablesample then to trailing true union unique user using variadic verbose when where window
    with between exists extract grouping interval overlay position precision row substring trim values
    xmltable""".split()
)
"""Words that PostgreSQL 15 does not take, or not everywhere, as a bare name."""

MYSQL_RESERVED = frozenset(
    """accessible add all alter analyze and as asc asensitive before between bigint binary blob both by call
    cascade case change char character check collate column condition constraint continue convert create cross
    cube cume_dist current_date current_time current_timestamp current_user cursor database databases dec
    decimal declare default delayed delete dense_rank desc describe deterministic distinct distinctrow div
    double drop dual each else elseif empty enclosed escaped except exists exit explain false fetch first_value
    float for force foreign from fulltext function generated get grant group grouping groups having
    high_priority if ignore in index infile inner inout insensitive insert int integer intersect interval into
    is iterate join json_table key keys kill lag last_value lateral lead leading leave left like limit linear
    lines load localtime localtimestamp lock long longblob longtext loop low_priority match maxvalue mediumblob
    mediumint mediumtext mod natural not nth_value ntile null numeric of on optimize option optionally or order
    out outer outfile over partition percent_rank precision primary procedure purge range rank read reads real
    recursive references regexp release rename repeat replace require resignal restrict return revoke right
    rlike row row_number rows schema schemas select sensitive separator set show signal smallint spatial
    specific sql sqlexception sqlstate sqlwarning ssl starting stored straight_join system table terminated then
    tinyblob tinyint tinytext to trailing trigger true undo union unique unlock unsigned update usage use using
    values varbinary varchar varcharacter varying virtual when where while window with write xor year_month
    zerofill""".split()
)
"""Words that MySQL 8.0 reserves."""

_COMMON_FUNCTIONS = """abs avg ceil ceiling char_length character_length coalesce count cume_dist dense_rank exp
    first_value floor lag last_value lead ln lower max min mod nth_value ntile nullif octet_length percent_rank power
    rank row_number sqrt stddev_pop stddev_samp sum upper var_pop var_samp""".split()

POSTGRES_FUNCTIONS = tuple(
    _COMMON_FUNCTIONS
    + """acos age ascii asin atan atan2 bit_and bit_or bool_and bool_or btrim cbrt chr concat concat_ws corr cos
    cot covar_pop covar_samp date date_part date_trunc degrees div every format greatest initcap justify_days least
    left length log lpad ltrim make_date make_interval md5 mode now percentile_cont percentile_disc pi radians
    regexp_match regexp_replace repeat replace reverse right round rpad rtrim sign sin split_part starts_with
    statement_timestamp stddev string_agg strpos substr tan to_char to_date to_number to_timestamp translate trunc
    variance width_bucket""".split()
)
POSTGRES_TYPES = tuple(
    """bigint boolean bool bytea char character date decimal float float4 float8 int int2 int4 int8 integer interval
    json jsonb numeric real smallint text time timestamp timestamptz uuid varchar""".split()
)
POSTGRES_COLLATIONS = ()

MYSQL_FUNCTIONS = tuple(
    _COMMON_FUNCTIONS
    + """acos ascii asin atan atan2 bin bit_and bit_length bit_or char concat concat_ws conv cos cot crc32 curdate
    curtime date date_format datediff day dayname dayofmonth dayofweek dayofyear degrees elt field find_in_set format
    from_days from_unixtime greatest hex hour if ifnull insert instr json_arrayagg json_extract json_object
    json_unquote lcase least left length locate log log10 log2 lpad ltrim makedate md5 microsecond mid minute
    month monthname now oct ord period_diff pi pow quarter quote radians rand regexp_like regexp_replace repeat replace
    reverse right round rpad rtrim second sec_to_time sign sin soundex space std stddev str_to_date strcmp
    substr substring_index tan time time_to_sec timediff timestamp to_days truncate ucase unhex
    unix_timestamp variance week weekday weekofyear year yearweek""".split()
)
MYSQL_TYPES = tuple("binary char date datetime decimal double float json nchar real time".split())
MYSQL_COLLATIONS = (
    "utf8mb4_0900_ai_ci",
    "utf8mb4_general_ci",
    "utf8mb4_unicode_ci",
    "utf8mb4_bin",
    "latin1_swedish_ci",
)

ANSI_FUNCTIONS = tuple(_COMMON_FUNCTIONS)
ANSI_TYPES = tuple(
    """bigint boolean char character date decimal float int integer numeric real smallint time timestamp
    varchar""".split()
)
