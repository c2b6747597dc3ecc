"""Where flows are kept and asked for: the only code with SQL.

`questions` are what others may ask, `protocol.Store` is what they hold, `embedded` and `remote` are the two engines that
run the same statements. Others never see a table name.
"""
