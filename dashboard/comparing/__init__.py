"""Parts of the Compare page: samples drawn of what is compared, tests of pairs, the report."""
