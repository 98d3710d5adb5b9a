"""Acts on a run that need a form: settings turned while it trains, and forks."""
