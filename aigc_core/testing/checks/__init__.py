"""The promises of the contract, each with a function that tests it."""
