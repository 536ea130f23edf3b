"""From a photograph to labels with any network: how it is prepared, in which pieces it is scored, what follows."""
