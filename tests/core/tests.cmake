# One line per header with rules in it; the tree mirrors core/.
