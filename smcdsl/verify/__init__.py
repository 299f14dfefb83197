"""Checks a user's own program: its potentials' promises, and that runs of it have proper weights.

scouting     short texts that the program's holes may have
table_model  a random model over pieces of these texts, small enough to be enumerated
enumeration  the program's mass by walking every text, and what its potentials say on the way
weights      runs on the table model against that mass: along every branch, or through the gate
verification all of it, and what there is to say
"""
